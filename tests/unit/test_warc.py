from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from app.errors import BrokenInput
from app.files.placed import PlacedReader
from app.files.unpacked import Place, Unpacked
from app.files.warc import Record, Unreadable, read_record, scan
from tests.support.warcs import answer, record, write_warc

RESPONSES = [(f"http://a/{n}", answer(b"<p>%d" % n * n * 400, f"X: {n}")) for n in range(30)]


def reader_of(data: bytes) -> PlacedReader:
    return PlacedReader(Unpacked(io.BytesIO(data)))  # type: ignore[arg-type]


def found_in(data: bytes) -> list[Record | Unreadable]:
    return list(scan(reader_of(data)))


def urls_in(data: bytes) -> list[str]:
    """Of records; "!" stands for what is none."""
    return [each.fields["warc-target-uri"] if isinstance(each, Record) else "!" for each in found_in(data)]


@pytest.mark.parametrize("packing", ["plain", "gzip", "whole.gz", "whole.zst", "frames.zst"])
def test_what_warcio_wrote_is_read_as_warcio_reads_it(tmp_path: Path, packing: str) -> None:
    path = write_warc(tmp_path / "a.warc", RESPONSES, gzip=packing == "gzip")
    data = path.read_bytes()
    with open(path, "rb") as file:
        expected = [
            (each.rec_type, each.rec_headers.get_header("WARC-Record-ID"), each.raw_stream.read())
            for each in ArchiveIterator(file, no_record_parse=True)
        ]
    if packing == "whole.gz":
        data = gzip.compress(data)
    elif packing == "whole.zst":
        data = zstd.compress(data)
    elif packing == "frames.zst":
        places = [each.place.member_bytes for each in found_in(data)]
        pieces = [data[begin:end] for begin, end in zip(places, [*places[1:], len(data)], strict=True)]
        data = b"".join(map(zstd.compress, pieces))
    found = found_in(data)
    reader = reader_of(data)
    got = []
    for each in found:
        assert isinstance(each, Record)
        again, block = read_record(reader, each.place, 1 << 30)
        assert again == each
        got.append((each.fields["warc-type"], each.fields["warc-record-id"], block))
    assert got == expected
    if packing in ("gzip", "frames.zst"):
        assert all(each.place.skip_bytes == 0 for each in found), "each record is a member"


def test_a_block_is_read_up_to_the_limit() -> None:
    _, block = read_record(reader_of(record(b"x" * 1000)), Place(0, 0), 10)
    assert block == b"x" * 10


A, B, C = (record(b"block", url=url) for url in ("http://a/", "http://b/", "http://c/"))


@pytest.mark.parametrize(
    ("data", "urls"),
    [
        (b"", []),
        (b"\r\n\r\n", []),
        (A + B, ["http://a/", "http://b/"]),
        (A.replace(b"\r\n", b"\n") + B, ["http://a/", "http://b/"]),
        (A.removesuffix(b"\r\n\r\n"), ["http://a/"]),
        (record(b"block", length=4) + B, ["!", "http://b/"]),
        (record(b"block", length=6) + B, ["!", "http://b/"]),
        (record(b"block", length=len(B)) + B + C, ["!", "http://c/"]),
        (record(b"block", length=10**12) + B, ["!"]),
        (record(b"block", length=-5) + B, ["!", "http://b/"]),
        (record(b"block", length="") + B, ["!", "http://b/"]),
        (record(b"block", length="9" * 5000) + B, ["!", "http://b/"]),
        (record(b"block", length="٣") + B, ["!", "http://b/"]),
        (A + b"garbage\n" * 1000 + B, ["http://a/", "!", "http://b/"]),
        (A + b"x" * 200_000 + b"\n" + C, ["http://a/", "!", "http://c/"]),
        (b"WARC/1.0\r\nno field\r\n\r\n" + B, ["!", "http://b/"]),
        (b"WARC/1.0\r\n" + b"x: y\r\n" * 2000 + B, ["!", "http://b/"]),
        (b"WARC/1.0\r\nx: " + b"y" * 200_000 + b"\r\n\r\n" + B, ["!", "http://b/"]),
        (b"WARC/1.0", ["!"]),
        (A + B[:40], ["http://a/", "!"]),
        (A[:-7], ["!"]),
        (record(b"b", url="\r\n http://folded/"), [" http://folded/"]),
        (A + b"\0" * 100 + b"\n" + B, ["http://a/", "!", "http://b/"]),
    ],
)
def test_wrong_files(data: bytes, urls: list[str]) -> None:
    assert urls_in(data) == urls


def test_damage_in_one_member_ends_a_packed_file() -> None:
    first, second = gzip.compress(A), gzip.compress(B)
    broken = bytearray(first + second + gzip.compress(C))
    broken[len(first) + 20] ^= 0xFF
    assert urls_in(bytes(broken))[:1] == ["http://a/"]
    assert urls_in(bytes(broken))[-1] == "!"
    assert urls_in(first + second[:-3]) == ["http://a/", "http://b/", "!"], "all of b is there, its checksum is not"
    assert urls_in(first + second[:5]) == ["http://a/", "!"]


@given(st.binary(), st.integers(0, 400), st.booleans())
def test_any_bytes_are_records_or_not(wild: bytes, cut: int, is_packed: bool) -> None:
    data = (A + B)[:cut] + wild + C
    for each in found_in(gzip.compress(data) if is_packed else data):
        assert isinstance(each, Record | Unreadable)
        if isinstance(each, Record):
            reader = reader_of(gzip.compress(data) if is_packed else data)
            assert len(read_record(reader, each.place, 1 << 20)[1]) == each.length_bytes


def test_what_is_not_there_any_more_is_broken() -> None:
    for place in (Place(3, 0), Place(10**6, 0), Place(0, 10**6)):
        with pytest.raises(BrokenInput):
            read_record(reader_of(A), place, 100)
    with pytest.raises(BrokenInput, match="breaks off"):
        read_record(reader_of(A[:-6]), Place(0, 0), 100)
