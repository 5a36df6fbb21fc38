from __future__ import annotations

import io
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from app.errors import UsageError
from app.model.origin import Origin
from app.model.outcome import ErrorKind, Failure
from app.model.request import Entry, Request
from app.sources import lines as lines_module
from app.sources.entry import is_entry, parse_entry
from app.sources.lines import read_lines
from app.sources.source import Source, format_of


def read(format_: str, data: bytes, **options: str) -> list[Entry]:
    source = msgspec.convert({"format": format_, **options}, Source)
    entries = (parse_entry(i, line) for i, line in enumerate(source.lines(io.BytesIO(data))))
    return [entry for entry in entries if entry is not None]


def only(format_: str, data: bytes) -> Entry:
    (entry,) = read(format_, data)
    return entry


def failure_of(entry: Entry) -> Failure:
    assert isinstance(entry.request, Failure)
    return entry.request


def request_of(entry: Entry) -> Request:
    assert isinstance(entry.request, Request)
    return entry.request


def test_text_lines_keep_their_numbers() -> None:
    entries = read("txt", b"\xef\xbb\xbfhttp://a/\r\n\n# note\n  http://b/  \n\thttp://c/")
    assert [(entry.index, entry.url) for entry in entries] == [(0, "http://a/"), (3, "http://b/"), (4, "http://c/")]


def test_an_entry_knows_its_origin_if_it_has_one() -> None:
    assert [entry.origin for entry in read("txt", b"https://a:1/x\nno url\nhttp://b")] == [
        Origin("https", "a", 1),
        None,
        Origin("http", "b", 80),
    ]


@given(st.binary())
def test_lines_are_what_newlines_cut(data: bytes) -> None:
    text = data.removeprefix(b"\xef\xbb\xbf")
    expected = [line.rstrip(b"\r\n") for line in re.findall(rb"[^\n]*\n|[^\n]+", text)]
    if data and not text:
        expected = [b""]
    assert list(read_lines(io.BytesIO(data))) == expected


def test_a_line_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 10)
    monkeypatch.setattr("app.sources.entry.MAX_LINE_BYTES", 10)
    data = b"http://a/\n" + b"x" * 35 + b"\nhttp://b/\n" + b"y" * 10 + b"\n" + b"z" * 12
    assert [len(line) for line in read_lines(io.BytesIO(data))] == [9, 11, 9, 10, 11]
    kinds = [isinstance(entry.request, Failure) for entry in read("txt", data)]
    assert kinds == [False, True, False, True, True], "ten y are no URL either"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"no url", ErrorKind.INVALID_REQUEST),
        (b"ftp://a/", ErrorKind.UNSUPPORTED_SCHEME),
        (b"http://\xff/", ErrorKind.INVALID_REQUEST),
        (b"http://a/ b", ErrorKind.INVALID_REQUEST),
    ],
)
def test_a_bad_text_line_is_a_failure_that_shows_the_line(line: bytes, kind: ErrorKind) -> None:
    entry = only("txt", line)
    assert failure_of(entry).kind is kind
    assert entry.url == line.decode(errors="replace")


def test_request_objects() -> None:
    entry = only(
        "jsonl",
        b'{"url":"http://a/","method":"post","headers":{"A":"b"},"body":"x","timeout_s":2,"id":7,"meta":{"k":[1]}}\n',
    )
    assert entry.request == Request(
        url="http://a/", method="post", headers={"A": "b"}, body="x", timeout_s=2.0, id=7, meta={"k": [1]}
    )
    bare = request_of(only("jsonl", b'{"url":"http://a/"}'))
    assert bare.id is UNSET
    assert bare.meta is UNSET


def test_null_is_no_id_and_no_body_and_no_deadline() -> None:
    """As exporters write what a row does not have."""
    entry = only("jsonl", b'{"url":"http://a/","id":null,"body":null,"timeout_s":null,"meta":null}\n')
    assert isinstance(entry.request, Request)
    assert (entry.given_id, entry.given_meta) == (UNSET, None)
    bad = only("jsonl", b'{"url":"http://a b/","id":null,"meta":7}\n')
    assert isinstance(bad.request, Failure)
    assert (bad.url, bad.given_id, bad.given_meta) == ("http://a b/", UNSET, 7)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'"http://a/"',
        b"{}",
        b'{"url":5}',
        b'{"url":"http://a/","colour":"red"}',
        b'{"url":"http://a/","method":"GE T"}',
        b'{"url":"http://a/","timeout_s":0}',
        b'{"url":"http://a/","headers":{"a":1}}',
        b'{"url":"\xff"}',
        b'{"url":"relative"}',
    ],
)
def test_a_bad_object_is_a_failure(line: bytes) -> None:
    assert failure_of(only("jsonl", line)).kind is ErrorKind.INVALID_REQUEST


def test_a_bad_object_shows_its_url_where_it_has_one() -> None:
    assert only("jsonl", b'{"url":"http://a/","colour":"red"}').url == "http://a/"
    assert only("jsonl", b"{nonsense").url == "{nonsense"


def test_csv_rows_become_requests_with_their_columns() -> None:
    entries = read("csv", b'\xef\xbb\xbfid,url,note\n1,http://a/,"two\nlines"\n\n2,http://b/,x\n3,http://c/\n')
    assert [(entry.index, entry.url) for entry in entries] == [(0, "http://a/"), (2, "http://b/"), (3, "http://c/")]
    assert request_of(entries[0]).id == "1"
    assert request_of(entries[0]).meta == {"note": "two\nlines"}
    assert request_of(entries[2]).meta is UNSET


def test_csv_with_another_column() -> None:
    assert read("csv", b"Site\nhttp://a/\n", url_column="Site")[0].url == "http://a/"


def test_csv_rows_that_cannot_be_read_are_failures() -> None:
    entries = read("csv", b"url,note\nhttp://a/,x,too,many\n,y\n\xff,z\nhttp://b/,\xff\n")
    assert [isinstance(entry.request, Failure) for entry in entries] == [True, True, True, False]


@pytest.mark.parametrize("data", [b"", b"address\nhttp://a/\n"])
def test_csv_without_the_column_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(UsageError, match="no column 'url'"):
        Source("csv").lines(io.BytesIO(data))


@given(st.binary(), st.sampled_from(["txt", "jsonl"]))
def test_any_bytes_are_entries_or_nothing(data: bytes, format_: str) -> None:
    for entry in read(format_, data):
        assert "\n" not in entry.url or format_ == "jsonl"
        msgspec.json.encode(entry.url)


@given(st.binary())
def test_any_csv_rows_are_entries(data: bytes) -> None:
    read("csv", b"url,a\n" + data)


@given(st.binary(), st.sampled_from(["url", "json"]))
def test_is_entry_agrees_with_parse_entry(line: bytes, form: str) -> None:
    assert is_entry(line, form) == (parse_entry(0, line, form) is not None)


def test_formats_by_name() -> None:
    assert [format_of(name) for name in ("-", "a.TXT", "b.jsonl", "c.ndjson", "d/e.csv")] == [
        "txt",
        "txt",
        "jsonl",
        "jsonl",
        "csv",
    ]
    with pytest.raises(UsageError, match="--format"):
        format_of("urls")
