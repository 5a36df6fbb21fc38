"""What each format of an input becomes, packed or not."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UsageError
from app.model.outcome import Failure
from app.model.request import StoredResponse
from app.sources.inputs import Inputs
from app.sources.source import format_of
from tests.support.inputs import PACKINGS, one, parquet, read, shown, wild, write
from tests.support.warcs import answer, record, write_warc

SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"


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
    with pytest.raises(UsageError, match="needs pyarrow"):
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
