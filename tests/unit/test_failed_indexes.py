from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.failed_indexes import FailedIndexes, unpacked

KINDS = st.sampled_from(["timeout", "http_status", "stage_failed"])
FAILURES = st.dictionaries(st.integers(0, 2**40) | st.integers(0, 300), KINDS, max_size=200)


def packed_of(failures: dict[int, str]) -> dict[str, bytes]:
    failed = FailedIndexes()
    for index, kind in sorted(failures.items()):
        failed.add(index, kind)
    return failed.packed()


@given(FAILURES)
def test_what_goes_in_comes_out_in_order(failures: dict[int, str]) -> None:
    assert list(unpacked(packed_of(failures))) == sorted(failures.items())


def test_many_are_few_bytes_and_never_in_memory() -> None:
    tracemalloc.start()
    try:
        failed = FailedIndexes()
        for index in range(0, 600_000, 3):
            failed.add(index, "timeout")
        packed = failed.packed()
        assert sum(1 for _ in unpacked(packed)) == 200_000
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
    assert len(packed["timeout"]) < 1000


@pytest.mark.parametrize("spoil", [lambda data: data[:-4], lambda data: b"\0" + data, lambda data: b""])
def test_what_is_damaged_is_no_list(spoil: object) -> None:
    packed = {kind: spoil(data) for kind, data in packed_of({7: "timeout", 9: "timeout"}).items()}  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"breaks off|header"):
        list(unpacked(packed))
