"""The quick look at a URL, held to the long way through requests and urllib3."""

from __future__ import annotations

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from requests.exceptions import RequestException

from app.fetching.wire_form import plain_target, target_of

HOST = st.one_of(
    st.text("ab-.01x", min_size=1, max_size=9),
    st.text("ab-.019xXé", min_size=1, max_size=9),
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", fullmatch=True),
    st.sampled_from(["127.0.0.1", "127.1", "0x7f.1", "a.b", "a..b", "[::1]", "example.com.", "1.2.3.4.5", "a-.b"]),
)
PORT = st.one_of(st.just(""), st.integers(0, 70_000).map(lambda port: f":{port}"), st.sampled_from([":", ":080"]))
PATH = st.text("aZ0/.-_~%2?#&=+;:@!$'()*,[]|\\ é", max_size=15).map(lambda path: f"/{path}")


@given(st.sampled_from(["http", "http", "https", "HTTP"]), HOST, PORT, st.one_of(st.just(""), PATH))
@example("http", "a.b", "", "/a/./b")
@example("http", "a.b", "", "/..")
@example("http", "a.b", "", "/.a/..b")
@example("http", "a.b", "", "/a//.//b")
@example("http", "127.0.0.1", ":1", "/?a/../b")
@example("http", "256.1.1.1", "", "/")
@example("http", "1.2.3.08", "", "/")
def test_what_is_plain_means_what_requests_makes_of_it(scheme: str, host: str, port: str, path: str) -> None:
    url = f"{scheme}://{host}{port}{path}"
    plain = plain_target(url)
    if plain is None:
        return  # it goes the long way anyhow
    if plain.port > 65_535:
        # Libcurl's and the policy's to refuse.
        with pytest.raises(RequestException):
            requests.Request("GET", url).prepare()
        return
    assert requests.Request("GET", url).prepare().url == url
    assert target_of(url) == plain


@pytest.mark.parametrize("url", ["http://a.b/", "https://a-1.example/x?y=/../z", "http://127.0.0.1:8080/a.b/~c"])
def test_most_urls_are_plain(url: str) -> None:
    assert plain_target(url) == target_of(url)
