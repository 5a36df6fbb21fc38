from __future__ import annotations

import hashlib
import html
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UnknownStage
from app.model.request import Request
from app.sources.entry import parse_entry
from app.stages.language import language
from app.stages.links import links
from app.stages.markup import text_of
from app.stages.registry import names, resolve
from app.stages.sha256 import sha256
from app.stages.simhash import simhash
from app.stages.text import text
from app.stages.title import title
from tests.support.pages import make_page

BUILT_IN = ["sha256", "title", "links", "text", "json", "language", "image", "simhash"]


def test_sha256_is_of_the_body_as_it_is() -> None:
    assert sha256(make_page(b"abc\0\xff")) == hashlib.sha256(b"abc\0\xff").hexdigest()
    assert sha256(make_page(b"")) == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<title>Tides</title>", "Tides"),
        ("<html><head><TITLE>\n  High &amp; low\t water </title>", "High & low water"),
        ("<svg><title>icon</title></svg><p>x", None),
        ("<head><title>First</title><title>Second</title>", "First"),
        ("<title><b>not bold</b></title>", "<b>not bold</b>"),
        ("<title></title>", ""),
        ("", None),
        ("<!-- <title>no</title> --><p>", None),
    ],
)
def test_title(body: str, expected: str | None) -> None:
    assert title(make_page(body)) == expected


def test_links_are_absolute_unique_and_in_order() -> None:
    body = """
      <a href="b.html#top">b</a> <a href='b.html'>again</a> <a href=" /root ">root</a><area href="//other.example/x">
      <a href="mailto:a@b.example">mail</a><a href="javascript:void(0)">js</a><a>none</a><a href="http://[bad">bad</a>
      <a href="?q=1">query</a><a href="">self</a>
    """
    assert links(make_page(body)) == [
        "http://site.example/dir/b.html",
        "http://site.example/root",
        "http://other.example/x",
        "http://site.example/dir/page.html?q=1",
        "http://site.example/dir/page.html",
    ]


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("HTTP://B.example/X", "http://b.example/X"),
        ("HttpS://b.example", "https://b.example"),
        ("//c/d e", "https://c/d%20e"),
        ("/d e?f g#h i", "https://site.example/d%20e?f%20g"),
        ('/"<>`{}^', "https://site.example/%22%3C%3E%60%7B%7D%5E"),
        ("/a\tb\nc", "https://site.example/abc"),
        ("/%zz%20%E9|[x]?y[]='z'", "https://site.example/%zz%20%E9|[x]?y[]='z'"),
        ("/é?é", "https://site.example/%C3%A9?%C3%A9"),
        ("//münchen.example/", "https://xn--mnchen-3ya.example/"),
        ("//[::1]:8080/a b", "https://[::1]:8080/a%20b"),
    ],
)
def test_links_are_written_as_the_url_standard_says(href: str, expected: str) -> None:
    page = make_page(f"<a href='{html.escape(href)}'>x</a>", url="https://site.example/")
    assert links(page) == [expected]
    entry = parse_entry(0, expected.encode(), "url")
    assert entry is not None
    assert isinstance(entry.request, Request), "a batch takes it"


@pytest.mark.parametrize(
    "href", ["https:///x", "//a b/x", "http://a:99999/x y", f"//{'a' * 70}.example/", "FTP://a/", "http://[bad"]
)
def test_links_that_are_no_urls_are_left_out(href: str) -> None:
    assert links(make_page(f'<a href="{href}">x</a><a href="/y">y</a>')) == ["http://site.example/y"]


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("windows-1251", ["/%D0%B6?%E6", "/?%E2%9C%93"]),
        ("utf-8", ["/%D0%B6?%D0%B6", "/?%E2%9C%93"]),
        ("utf-16", ["/%D0%B6?%D0%B6", "/?%E2%9C%93"]),
    ],
)
def test_links_have_their_query_in_the_pages_encoding(encoding: str, expected: list[str]) -> None:
    body = '<a href="/ж?ж">x</a><a href="/?&#10003;">y</a>'.encode(encoding)
    page = make_page(body, content_type=f"text/html; charset={encoding}")
    assert links(page) == [f"http://site.example{rest}" for rest in expected]


def test_links_follow_the_base_element() -> None:
    assert links(make_page('<base href="/other/"><a href="x">')) == ["http://site.example/other/x"]


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        ("é".encode(), "text/html; charset=utf-8", "é"),
        ("é".encode("latin-1"), "text/html; charset=ISO-8859-1", "é"),
        (b'<meta charset="windows-1251">' + "Привет".encode("cp1251"), "text/html", "Привет"),
        (b"\xef\xbb\xbf" + "é".encode(), "text/html; charset=iso-8859-1", "é"),
        (b"caf\xe9", None, "café"),
        ("日本".encode("euc-jp"), "text/html; charset=EUC-JP", "日本"),
        (b"x\xff", "text/html; charset=nonsense", "xÿ"),
    ],
)
def test_text_is_decoded_as_a_browser_would(body: bytes, content_type: str | None, expected: str) -> None:
    assert text_of(make_page(body, content_type=content_type)).endswith(expected)


@given(st.binary(), st.sampled_from(["text/html", "text/html; charset=utf-8", "text/html; charset=utf-16", None]))
def test_any_bytes_give_json_values(body: bytes, content_type: str | None) -> None:
    page = make_page(body, content_type=content_type)
    for built_in in (sha256, title, links, text, language, simhash):
        msgspec.json.encode(built_in(page))


def test_built_ins_are_found_by_name() -> None:
    assert names()[: len(BUILT_IN)] == BUILT_IN
    assert [found.name for found in resolve(["title", "sha256"])] == ["title", "sha256"]
    assert resolve([]) == ()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["nonsense"], "no stage 'nonsense'; there are sha256, title"),
        (["title", "title"], "named twice"),
        (["tests.support.stages:words"], "no stage"),
    ],
)
def test_names_that_lead_nowhere(wanted: list[str], message: str) -> None:
    with pytest.raises(UnknownStage, match=message):
        resolve(wanted)


def test_import_paths_where_they_are_trusted() -> None:
    found = resolve(["tests.support.stages:words", "tests.support.stages:shout"], import_paths=True)
    assert [one.name for one in found] == ["words", "loud"]
    assert found[0](make_page("a b")) == 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("tests.support.stages:missing", "has no 'missing'"),
        ("tests.support.stages:NUMBER", "not to a function"),
        ("tests.support.nowhere:x", "can't be imported: ModuleNotFoundError"),
        ("tests.support.stages:", "stage 'tests.support.stages:' names no function; write module:function"),
        (":words", "stage ':words' names no module; write module:function"),
    ],
)
def test_import_paths_that_lead_nowhere(path: str, message: str) -> None:
    with pytest.raises(UnknownStage, match=message):
        resolve([path], import_paths=True)


def test_a_folder_that_is_no_module_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A namespace package, as which any folder can be imported."""
    (tmp_path / "afolder_of_mine").mkdir()
    (tmp_path / "afolder_of_mine" / "within.py").write_text("def score(page): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnknownStage) as caught:
        resolve(["afolder_of_mine:score"], import_paths=True)
    assert str(caught.value) == (
        "stage 'afolder_of_mine:score': module 'afolder_of_mine' (a folder without __init__.py, "
        f"{tmp_path}/afolder_of_mine: name a module in it, as afolder_of_mine.MODULE:FUNCTION) has no 'score'"
    )
    assert resolve(["afolder_of_mine.within:score"], import_paths=True)[0].name == "score"
    with pytest.raises(UnknownStage, match=r"module 'sys' \(built in\) has no 'score'"):
        resolve(["sys:score"], import_paths=True)
