"""What is a name, what an address, and what can be no host."""

from __future__ import annotations

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.fetching.names import Names, literal_address, name_of
from tests.support.resolver import Resolver


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("2001:DB8::A", "2001:db8::a"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
    ],
)
def test_an_address_needs_no_look_up(names: Names, resolver: Resolver, host: str, address: str) -> None:
    assert names.resolve(host) == (address,)
    assert resolver.asked == []
    assert names.statistics().cached == 0


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "256.0.0.1",
        "1.2.3",
        "fe80::1%lo",
    ],
)
def test_what_only_looks_like_an_address_is_for_the_system_to_say(names: Names, resolver: Resolver, host: str) -> None:
    assert literal_address(host) is None
    names.resolve(host)
    assert resolver.asked == [host]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com."),
        ("foo_bar.example", "foo_bar.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("例え.テスト.", "xn--r8jz45g.xn--zckzah."),
        ("ΑΣ.example", "xn--mxa8a.example"),
        ("Foo_Bar.bücher.example", "foo_bar.xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        (".".join(["a" * 49] * 5) + ".abc", ".".join(["a" * 49] * 5) + ".abc"),
    ],
)
def test_a_name_has_one_form_which_is_that_of_requests(names: Names, resolver: Resolver, host: str, name: str) -> None:
    names.resolve(host)
    assert resolver.asked == [name]
    url = requests.Request("GET", f"http://{host}/").prepare().url
    assert url is not None
    assert url.lower() == f"http://{name}/"


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "..", ".example", "a..example", "a.example..", "*.example"),
        *("a" * 64 + ".example", ".".join(["a" * 50] * 5), "ü" * 60 + ".example"),
        *("a b.example", "a\0.example", "127.0.0.1\0.example", "a\n", "\x7f"),
        *(
            "☃.example",
            "a\ud800.example",
            "bücher..example",
            "-ü.example",
            "\u200d",
        ),
        *("例え。テスト", "ｅｘａｍｐｌｅ.com", "１２７.0.0.1", "127。0。0。1", "１::1"),
        *("ex%61mple.com", "a%00.example"),
    ],
)
def test_what_can_be_no_host_is_refused(names: Names, resolver: Resolver, host: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        names.resolve(host)
    assert str(raised.value).isprintable()
    assert resolver.asked == []


@settings(deadline=None)
@given(st.text(st.characters(categories=("L", "M", "N", "Pd"), include_characters=".。"), min_size=1, max_size=40))
def test_beyond_ascii_names_are_those_of_requests(host: str) -> None:
    host = f"{host}ü"
    try:
        url = requests.Request("GET", f"http://{host}/").prepare().url
        assert url is not None
        url.removeprefix("http://").removesuffix("/").encode("idna")  # as urllib3 does before it connects
    except (requests.exceptions.InvalidURL, UnicodeError):
        with pytest.raises(InvalidRequest):
            name_of(host)
    else:
        assert url == f"http://{name_of(host)}/"
