from __future__ import annotations

import contextlib
import gzip
import io
import random
import tracemalloc
import zlib

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BrokenInput
from app.files.placed import PlacedReader
from app.files.unpacked import PIECE_BYTES, Place, Unpacked, UnpackedFile

PACKERS = {"plain": bytes, "gzip": gzip.compress, "zstd": zstd.compress}
packings = st.sampled_from(sorted(PACKERS))


class Raw(io.BytesIO):
    """A file that gives no more than a few bytes at a time, as a pipe may."""

    at_most = 1 << 20

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(self.at_most, size if size is not None and size >= 0 else self.at_most))


def raw(data: bytes, at_most: int = 1 << 20) -> Raw:
    file = Raw(data)
    file.at_most = at_most
    return file


def unpack(data: bytes, at_most: int = 1 << 20) -> bytes:
    unpacked = Unpacked(raw(data, at_most))  # type: ignore[arg-type]
    return b"".join(iter(unpacked.piece, b""))


@given(st.lists(st.binary(max_size=300), min_size=1), packings, st.integers(1, 40))
def test_members_in_a_row_are_one_file(members: list[bytes], packing: str, at_most: int) -> None:
    data = b"".join(map(PACKERS[packing], members))
    if packing == "plain" and data[:3] in (b"\x1f\x8b\x08", b"\x28\xb5\x2f"):
        return
    assert unpack(data, at_most) == b"".join(members)


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1), packings, st.data())
def test_a_place_leads_back(members: list[bytes], packing: str, data: st.DataObject) -> None:
    packed = b"|" * (packing == "plain") + b"".join(map(PACKERS[packing], members))
    whole = unpack(packed)
    reader = PlacedReader(Unpacked(raw(packed, at_most=50)))  # type: ignore[arg-type]
    places = []
    for _ in whole:
        places.append(reader.place())
        reader.read(1)
    # In any order, forwards and backwards, by a reader that stands somewhere and by a new one.
    order = data.draw(st.permutations(range(len(whole))))
    for at in order[:20]:
        other = PlacedReader(Unpacked(raw(packed)))  # type: ignore[arg-type]
        assert reader.go_to(places[at])
        assert other.go_to(places[at])
        assert reader.read(7) == other.read(7) == whole[at : at + 7]


def test_places_name_members() -> None:
    packed = gzip.compress(b"one") + gzip.compress(b"two")
    reader = PlacedReader(Unpacked(raw(packed)))  # type: ignore[arg-type]
    reader.read(3)
    second = len(gzip.compress(b"one"))
    assert reader.place() == Place(second, 0)
    reader.read(2)
    assert reader.place() == Place(second, 2)
    assert not reader.go_to(Place(second, 9))


@given(st.binary(min_size=1), st.sampled_from(["gzip", "zstd"]), st.data())
def test_cut_short_is_never_taken_for_the_end(content: bytes, packing: str, data: st.DataObject) -> None:
    packed = PACKERS[packing](content)
    cut = data.draw(st.integers(5, len(packed) - 1))
    with pytest.raises(BrokenInput, match="breaks off"):
        unpack(packed[:cut])


@given(st.binary(min_size=1), st.sampled_from(["gzip", "zstd"]), st.data())
def test_damage_is_broken_input_or_other_bytes(content: bytes, packing: str, data: st.DataObject) -> None:
    packed = bytearray(PACKERS[packing](content))
    packed[data.draw(st.integers(4, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(BrokenInput):
        unpack(bytes(packed))


def test_zeros_behind_gzip_are_padding_and_other_bytes_are_not() -> None:
    assert unpack(gzip.compress(b"a") + b"\0" * 100_000 + gzip.compress(b"b") + b"\0") == b"ab"
    with pytest.raises(BrokenInput, match="after its gzip data"):
        unpack(gzip.compress(b"a") + b"garbage")


def test_frames_that_are_to_be_skipped_are() -> None:
    skipped = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"
    assert unpack(skipped + zstd.compress(b"x") + skipped + zstd.compress(b"y") + skipped) == b"xy"


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_bomb_costs_no_memory(packing: str) -> None:
    total_bytes = 64 << 20
    if packing == "gzip":
        packer = zlib.compressobj(9, wbits=31)
        bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    else:
        bomb = zstd.compress(bytes(total_bytes))
    assert len(bomb) < total_bytes // 900
    unpacked = Unpacked(raw(bomb))  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        assert sum(map(len, iter(unpacked.piece, b""))) == total_bytes
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 16 * PIECE_BYTES


def test_a_limit_ends_it_and_says_so() -> None:
    unpacked = Unpacked(raw(gzip.compress(random.Random(1).randbytes(1 << 20))), limit_bytes=PIECE_BYTES)  # type: ignore[arg-type]
    assert PIECE_BYTES <= sum(map(len, iter(unpacked.piece, b""))) <= 2 * PIECE_BYTES
    assert unpacked.is_cut
    whole = Unpacked(raw(b"abc"), limit_bytes=100)  # type: ignore[arg-type]
    assert list(iter(whole.piece, b"")) == [b"abc"]
    assert not whole.is_cut


def test_as_a_file_it_has_lines() -> None:
    file = io.BufferedReader(UnpackedFile(Unpacked(raw(gzip.compress(b"a\nb\n" * 100_000)))))  # type: ignore[arg-type]
    assert sum(1 for _ in file) == 200_000


def test_a_pipe_that_does_not_wait_is_no_end() -> None:
    class Impatient(io.RawIOBase):
        def read(self, size: int = -1, /) -> bytes | None:
            return None

    with pytest.raises(BlockingIOError):
        Unpacked(Impatient()).piece()
