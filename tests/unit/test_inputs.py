from __future__ import annotations

import contextlib
import datetime
import decimal
import gzip
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import UsageError
from app.model.outcome import ErrorKind, Failure
from app.model.request import Entry, Request, StoredResponse
from app.sources import inputs as inputs_module
from app.sources.entry import is_entry, parse_entry
from app.sources.inputs import Inputs
from app.sources.source import format_of
from tests.support.warcs import answer, record, write_warc

SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"

# Files of hypothesis' examples may share a folder.
wild = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def entries(inputs: Inputs) -> list[Entry]:
    found = []
    for index, line in enumerate(inputs.lines()):
        entry = parse_entry(index, line, inputs.entry_form)
        assert is_entry(line, inputs.entry_form) == (entry is not None)
        if entry is not None:
            found.append(entry)
    return found


def read(*names: str, **options: Any) -> list[Entry]:
    return entries(Inputs(names, **options))


def one(folder: Path, name: str, data: bytes, **options: Any) -> list[Entry]:
    return read(write(folder, name, data), **options)


def shown(found: list[Entry]) -> list[tuple[int, str]]:
    """Index and URL of each; of what is no request "!" and the message."""
    return [
        (each.index, f"!{each.request.message}" if isinstance(each.request, Failure) else each.url) for each in found
    ]


PACKINGS = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}


# --- formats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.txt", b"\xef\xbb\xbfhttp://a/\r\n\n# note\n  http://b/  ", [(0, "http://a/"), (3, "http://b/")]),
        ("a.jsonl", b'{"url":"http://a/"}\n\n{"url":"http://b/"}\n', [(0, "http://a/"), (2, "http://b/")]),
        ("a.csv", b'x,url\n"1\n2",http://a/\n\n,http://b/\n', [(0, "http://a/"), (2, "http://b/")]),
        ("a.tsv", b'url\tx\nhttp://a/\t"\n\nhttp://b/\t"\n', [(0, "http://a/"), (2, "http://b/")]),
        (
            "a.xml",
            f'<urlset xmlns="{SITEMAP}"><url><loc> http://a/?x&amp;y </loc></url></urlset>'.encode(),
            [(0, "http://a/?x&y")],
        ),
        ("a.warc", record(answer(b"x")), [(0, "http://a/")]),
    ],
)
def test_each_format_under_each_packing(
    tmp_path: Path, name: str, data: bytes, expected: list[tuple[int, str]], packing: str
) -> None:
    assert shown(one(tmp_path, name + packing, PACKINGS[packing](data))) == expected
    misnamed = one(tmp_path, f"misnamed-{name}", PACKINGS[packing](data))
    assert shown(misnamed) == expected, "bytes tell the packing, not the name"


def test_names_tell_formats() -> None:
    names = ["-", "a.TXT.gz", "b.ndjson.zst", "d/e.CSV.GZ", "x.parquet", "crawl.warc.gz", "sitemap.xml.gz", "a.tsv"]
    assert [format_of(name) for name in names] == [
        "txt", "txt", "jsonl", "csv", "parquet", "warc", "sitemap", "tsv",
    ]  # fmt: skip
    for name in ("urls", "a.gz", "a.txt.xz", "http://a/urls.txt"):
        with pytest.raises(UsageError):
            format_of(name)


def test_rows_of_tsv_have_no_quotes(tmp_path: Path) -> None:
    (first, second) = one(tmp_path, "a.tsv", b'id\turl\tname\n7\thttp://a/\t"open\n8\thttp://b/\tclosed"\n')
    assert (first.given_id, first.given_meta) == ("7", {"name": '"open'})
    assert (second.given_id, second.given_meta) == ("8", {"name": 'closed"'})
    (bad,) = one(tmp_path, "b.tsv", b"url\nhttp://a/\textra\n")
    assert isinstance(bad.request, Failure)
    assert bad.url == "http://a/"


def test_a_sitemap_says_more_of_a_url(tmp_path: Path) -> None:
    text = f"""<?xml version="1.0" encoding="ISO-8859-1"?><!-- a map -->
        <urlset xmlns="{SITEMAP}" xmlns:image="urn:image">
          <url><loc>http://a/caf\xe9</loc><lastmod>2026-01-02</lastmod>
            <image:image><image:loc>http://a/picture</image:loc></image:image></url>
          <url><priority>0.5</priority></url>
          <other><loc>http://no/</loc></other>
          <url><loc><![CDATA[http://b/]]></loc></url>
        </urlset>"""
    first, lacking, second = one(tmp_path, "a.xml", text.encode("latin-1"))
    assert (first.url, first.given_meta) == ("http://a/café", {"lastmod": "2026-01-02"})
    assert isinstance(lacking.request, Failure)
    assert lacking.meta == {"priority": "0.5"}
    assert second.url == "http://b/"


def test_the_sitemaps_of_an_index_are_requests(tmp_path: Path) -> None:
    index = b"<sitemapindex><sitemap><loc>http://a/1.xml.gz</loc></sitemap></sitemapindex>"
    assert shown(one(tmp_path, "a.xml", index)) == [(0, "http://a/1.xml.gz")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"<urlset><url><loc>http://a/</loc></url><url><loc>http://b/", "no XML any more"),
        (b"<urlset><url><loc>http://a/</loc></url></other>", "no XML any more"),
        (b"<urlset><url><loc>http://a/</loc></url>" + b"<x>" * 100, "nested"),
        (b"<urlset><url><loc>http://a/</loc></url><x y='" + b"z" * 3_000_000, "tag or comment"),
    ],
)
def test_a_broken_sitemap_keeps_what_stands_before(tmp_path: Path, text: bytes, said: str) -> None:
    first, broken = shown(one(tmp_path, "a.xml", text))
    assert first == (0, "http://a/")
    assert said in broken[1]


def test_a_sitemap_unpacks_no_entities(tmp_path: Path) -> None:
    text = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>'
    ((_, said),) = shown(one(tmp_path, "a.xml", text))
    assert "document type" in said


@pytest.mark.parametrize("text", [b"<html><body/></html>", b"plain", b"", b"<urlset2/>"])
def test_other_xml_is_refused_at_once(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(UsageError, match="no sitemap"):
        Inputs([write(tmp_path, "a.xml", text)])


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> str:
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


def test_parquet_rows_become_requests_with_their_columns(tmp_path: Path) -> None:
    name = parquet(
        tmp_path / "a.parquet",
        {
            "url": ["http://a/", None, "http://c/"],
            "id": [1, 2, None],
            "score": [0.5, float("nan"), None],
            "tags": [["x"], [], None],
            "at": [datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)] * 3,
            "price": [decimal.Decimal("1.10")] * 3,
            "raw": [b"\xff"] * 3,
            "ns": pa.array([1_700_000_000_000_000_001] * 3, pa.timestamp("ns")),
        },
    )
    first, lacking, third = read(name)
    assert (first.url, first.given_id) == ("http://a/", 1)
    meta = dict(first.given_meta)
    assert meta.pop("ns").endswith("000001")
    assert meta == {"score": 0.5, "tags": ["x"], "at": "2026-01-02T00:00:00Z", "price": "1.10", "raw": "/w=="}
    assert isinstance(lacking.request, Failure)
    assert lacking.id == 2
    assert (third.url, third.given_meta["score"]) == ("http://c/", None)


def test_parquet_text_that_is_none_costs_its_own_row(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\x09\0\0\0\x0a\0\0\0"), pa.py_buffer(b"http://a/\xff")]
    )
    good, failed = read(parquet(tmp_path / "a.parquet", {"url": bad}))
    assert good.url == "http://a/"
    assert isinstance(failed.request, Failure)


def test_parquet_of_many_row_groups(tmp_path: Path) -> None:
    urls = [f"http://a/{n}" for n in range(5000)]
    name = parquet(tmp_path / "a.parquet", {"address": urls}, row_group_size=700, compression="zstd")
    assert [entry.url for entry in read(name, url_column="address")] == urls
    with pytest.raises(UsageError, match=r"no column 'url' \(columns: address"):
        Inputs([name])


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = parquet(tmp_path / "a.parquet", {"url": ["http://a/"]})
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError, match="pip install"):
        Inputs([name])


@wild
@given(st.data())
def test_damaged_parquet_is_refused_or_breaks_off(tmp_path: Path, data: st.DataObject) -> None:
    name = parquet(tmp_path / "a.parquet", {"url": [f"http://a/{n}" for n in range(300)]}, row_group_size=100)
    whole = Path(name).read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with contextlib.suppress(UsageError):
        assert len(one(tmp_path, "b.parquet", whole[:cut])) <= 301
    broken = bytearray(whole)
    broken[data.draw(st.integers(4, len(whole) // 2))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(UsageError):
        one(tmp_path, "c.parquet", bytes(broken))


def test_packed_parquet_is_refused(tmp_path: Path) -> None:
    name = parquet(tmp_path / "a.parquet", {"url": ["http://a/"]})
    with pytest.raises(UsageError, match="packed within"):
        one(tmp_path, "b.parquet.gz", gzip.compress(Path(name).read_bytes()))


def test_a_warc_has_its_http_responses(tmp_path: Path) -> None:
    path = write_warc(tmp_path / "a.warc.gz", [("http://a/", answer(b"a")), ("http://b/", answer(b"b"))], gzip=True)
    data = path.read_bytes() + b"".join(
        gzip.compress(made)
        for made in (
            record(b"dns", url="dns:a", Content_Type="text/dns"),
            record(b"", kind="revisit"),
            record(answer(b"c"), url="<http://c/>", WARC_Truncated="length"),
        )
    )
    found = one(tmp_path, "b.warc.gz", data)
    assert shown(found) == [(0, "http://a/"), (1, "http://b/"), (2, "http://c/")]
    assert isinstance(found[2].request, StoredResponse)
    assert found[2].given_id == "urn:uuid:1"
    assert found[2].given_meta == {"warc_date": "2026-01-02T03:04:05Z", "warc_truncated": "length"}


def test_other_archives_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ARC file"):
        Inputs([write(tmp_path, "a.warc", b"filedesc://a.arc 0.0.0.0 20260101 text/plain 5\n")])
    with pytest.raises(UsageError, match="no WARC"):
        Inputs([write(tmp_path, "b.warc.gz", gzip.compress(b"http://a/\n"))])


def test_what_a_user_writes_is_never_a_stored_response(tmp_path: Path) -> None:
    line = b'{"url":"http://a/","path":"L2V0Yy9wYXNzd2Q=","member_bytes":0,"skip_bytes":0}\n'
    for name in ("a.jsonl", "a.txt"):
        (entry,) = one(tmp_path, name, line)
        assert isinstance(entry.request, Failure)


# --- several, and what is wrong with them ----------------------------------------------------------------------


def test_several_inputs_are_one_stream(tmp_path: Path) -> None:
    names = [
        write(tmp_path, "a.txt", b"http://a/\n# note\n"),
        write(tmp_path, "b.jsonl.gz", gzip.compress(b'{"url":"http://b/","method":"PUT"}\n# none\n')),
        write(tmp_path, "c.csv", b"url\nhttp://c/\n"),
        write(tmp_path, "d.warc", record(answer(b"x"), url="http://d/")),
        parquet(tmp_path / "e.parquet", {"url": ["http://e/"]}),
        write(tmp_path, "f.txt", b""),
        write(tmp_path, "g.txt", b"http://g/"),
    ]
    found = read(*names)
    assert [(each.index, each.url) for each in found] == [
        (0, "http://a/"), (2, "http://b/"), (3, "# none"), (4, "http://c/"), (5, "http://d/"), (6, "http://e/"),
        (7, "http://g/"),
    ]  # fmt: skip
    assert isinstance(found[1].request, Request)
    assert found[1].request.method == "PUT"
    assert isinstance(found[2].request, Failure), "JSON has no comments"


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_a_file_that_breaks_off_is_one_failed_record_and_the_next_goes_on(tmp_path: Path, packing: str) -> None:
    lines = b"".join(b"http://a/%d\n" % n for n in range(40_000))
    packed = PACKINGS[packing](lines)
    first = write(tmp_path, "a.txt" + packing, packed[: len(packed) * 3 // 4])
    second = write(tmp_path, "b.txt", b"http://b/\n")
    *whole, broken, last = read(first, second)
    assert len(whole) > 1000
    assert [each.url for each in whole] == [f"http://a/{n}" for n in range(len(whole))], "no torn line"
    assert isinstance(broken.request, Failure)
    assert broken.request.kind is ErrorKind.INVALID_REQUEST
    assert "can't be read any further" in broken.request.message
    assert last.url == "http://b/"
    assert last.index == len(whole) + 1


def test_mistakes_are_told_before_anything_is_read(tmp_path: Path) -> None:
    good = write(tmp_path, "a.txt", b"http://a/\n")
    for bad, said in (
        (str(tmp_path / "none.txt"), "No such file"),
        (str(tmp_path / "none.of-a-name"), "No such file"),
        (str(tmp_path), "it is a folder"),
        (write(tmp_path, "a.foo", b"http://a/\n"), "can't tell the format"),
        ("http://a.example/", "INPUT is a file of URLs, not a URL"),
        (write(tmp_path, "b.csv", b"address\nhttp://a/\n"), "b.csv: no column 'url'"),
        (write(tmp_path, "u.txt", "http://a/".encode("utf-16")), "UTF-16"),
    ):
        with pytest.raises(UsageError, match=said):
            Inputs([good, bad])
    with pytest.raises(UsageError, match="folder"):
        Inputs([str(tmp_path)], "txt")
    with pytest.raises(UsageError, match="once only"):
        Inputs(["-", "-"])
    with pytest.raises(UsageError, match="no input"):
        Inputs([])


WILD_LINES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from([b"http://a/", b"\xef\xbb\xbf", b"\0", b"\r", b'"', b"\xff\xfe", b"{", b'{"url":"http://a/"}']),
    )
).map(lambda parts: b"\n".join(parts))


@wild
@given(
    WILD_LINES,
    st.sampled_from(["txt", "jsonl", "csv", "tsv", "sitemap", "warc"]),
    st.sampled_from(sorted(PACKINGS)),
    st.integers(0, 30),
)
def test_any_bytes_are_entries_or_refused(tmp_path: Path, data: bytes, format_: Any, packing: str, cut: int) -> None:
    heads = {"csv": b"url,x\n", "tsv": b"url\tx\n", "sitemap": b"<urlset>", "warc": record(answer(b"x"))}
    packed = PACKINGS[packing](heads.get(format_, b"") + data)
    name = write(tmp_path, "wild", packed[: len(packed) - cut])
    try:
        found = read(name, format=format_)
    except UsageError:
        return
    for entry in found:
        json.dumps(entry.url)
        entry.url.encode()
    assert found == read(name, format=format_), "the same once more"


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a.csv", "a.jsonl"])
def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, name: str) -> None:
    head = {"a.tsv": b"url\n", "a.csv": b"url\n"}.get(name, b"")
    inputs = Inputs([write(tmp_path, f"{name}.gz", gzip.compress(head + bytes(b"x" * (64 << 20)) + b"\nhttp://a/"))])
    sizes = [len(line) for line in inputs.lines()]
    assert max(sizes) < 5 << 20
    assert len(sizes) >= 2


# --- what is known of them -------------------------------------------------------------------------------------


def test_what_can_be_read_again_is_told_by_size_and_time(tmp_path: Path) -> None:
    first = write(tmp_path, "a.txt", b"http://a/\n")
    second = write(tmp_path, "b.txt", b"")
    inputs = Inputs([first, second])
    assert inputs.is_repeatable
    assert inputs.fingerprint() == [
        (os.path.realpath(name), os.stat(name).st_size, os.stat(name).st_mtime_ns) for name in (first, second)
    ]
    assert inputs.is_same_file(second)
    assert not inputs.is_same_file(str(tmp_path / "none"))


def test_a_name_that_is_no_text_can_be_told(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.warc")
    Path(name).write_bytes(record(answer(b"x")) + b"garbage\n")
    inputs = Inputs([name])
    json.dumps(inputs.fingerprint()).encode()
    stored, broken = entries(inputs)
    assert isinstance(stored.request, StoredResponse)
    assert stored.request.path == os.fsencode(name)
    assert isinstance(broken.request, Failure)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[str]:
    """A named pipe into which somebody writes two URLs, gzipped."""
    name = str(tmp_path / "pipe.txt")
    os.mkfifo(name)
    writer = threading.Thread(target=lambda: Path(name).write_bytes(gzip.compress(b"http://a/\nhttp://b/\n")))
    writer.start()
    yield name
    writer.join()


def test_a_pipe_is_read_once_and_not_before_it_is_asked_for(pipe: str) -> None:
    inputs = Inputs([pipe])
    assert not inputs.is_repeatable
    assert inputs.read_share() is None
    assert inputs.count_lines(10) == 10
    assert inputs.fingerprint()[0][1:] == (-1, -1)
    assert [each.url for each in entries(inputs)] == ["http://a/", "http://b/"]


@pytest.mark.parametrize("format_", ["warc", "parquet"])
def test_what_is_read_twice_is_no_pipe(tmp_path: Path, format_: Any) -> None:
    name = str(tmp_path / "pipe")
    os.mkfifo(name)
    writer = threading.Thread(target=lambda: open(name, "wb").close())
    writer.start()
    with pytest.raises(UsageError, match="into a file"):
        read(name, format=format_)
    writer.join()


def test_the_share_that_was_read_grows_to_all(tmp_path: Path) -> None:
    lines = b"".join(b"http://a/%d\n" % n for n in range(100_000))
    inputs = Inputs(
        [
            write(tmp_path, "a.txt", lines),
            write(tmp_path, "b.txt.gz", gzip.compress(lines)),
            parquet(tmp_path / "c.parquet", {"url": [f"http://a/{n}" for n in range(100_000)]}),
        ]
    )
    assert inputs.read_share() == 0.0
    shares = [inputs.read_share() or 0.0 for _ in inputs.lines()]
    assert shares == sorted(shares)
    assert len(set(shares)) > 10
    assert inputs.read_share() == 1.0


def test_lines_are_counted_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [write(tmp_path, "a.txt", b"http://a/\n" * 7), write(tmp_path, "b.csv", b"url\nhttp://a/\n\n")]
    assert Inputs(names).count_lines(100) == 9
    assert Inputs(names).count_lines(8) == 8
    long = write(tmp_path, "c.txt.gz", gzip.compress(b"x" * (2 << 20)))
    assert Inputs([*names, long]).count_lines(100) == 10
    monkeypatch.setattr(inputs_module, "_COUNT_BYTES", 1 << 20)
    assert Inputs([*names, long]).count_lines(100) == 100, "it would take long to know"


def test_closed_inputs_end(tmp_path: Path) -> None:
    inputs = Inputs([write(tmp_path, "a.txt", b"http://a/\n" * 200_000), write(tmp_path, "b.txt", b"http://b/\n")])
    lines = inputs.lines()
    next(lines)
    inputs.close()
    with pytest.raises((ValueError, OSError)):
        list(lines)
    assert list(inputs.lines()) == []


def test_standard_input_is_not_read_before_it_is_asked_for() -> None:
    assert Inputs(["-"]).fingerprint() == [("-", -1, -1)]
