from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from app.policy.sharding import cut, shard_of


@given(st.lists(st.binary(max_size=4)), st.integers(1, 7))
def test_shards_are_the_input_cut_in_order(lines: list[bytes], size: int) -> None:
    shards = list(cut(lines, size))
    assert [line for shard in shards for line in shard.lines] == lines
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert all(len(shard.lines) == size for shard in shards[:-1])
    for shard in shards:
        for index in range(shard.first_index, shard.first_index + len(shard.lines)):
            assert shard_of(index, size) == shard.number


def test_the_input_is_read_no_further_than_asked() -> None:
    taken = 0

    def lines() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x"

    shards = cut(lines(), 10)
    next(shards)
    assert taken == 10
