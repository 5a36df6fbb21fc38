from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.model.job import FetchOptions
from app.policy.sharding import Shard
from app.settings import Settings
from workers.messages import (
    Began,
    Begin,
    Count,
    Drain,
    Fault,
    NoMoreShards,
    Ready,
    Refused,
    ShardDone,
    TakeShard,
    ToChild,
    ToParent,
    Want,
    child_inbox,
    parent_inbox,
    to_frame,
)

TO_CHILD: list[ToChild] = [
    Begin(Settings(workers=3), FetchOptions(headers={"a": "b"}), ["title"], 10, "/x/é"),
    TakeShard(Shard(1, 10, [b"http://a/", b"\xff\n", b""]), give_up=True),
    NoMoreShards(),
    Drain(0.5),
]
TO_PARENT: list[ToParent] = [
    Ready(),
    Refused("no"),
    Want(),
    Began(1, {}),
    Count({3: {"ok": 2, "timeout": 1}}, 7),
    ShardDone(3, {"ok": 10}),
    Fault("full"),
]


@given(st.lists(st.integers(0, 300)))
def test_messages_arrive_whole_however_they_are_cut(cuts: list[int]) -> None:
    for messages, inbox in ((TO_CHILD, child_inbox()), (TO_PARENT, parent_inbox())):
        data = b"".join(to_frame(message) for message in messages)
        edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
        arrived = [m for start, end in pairwise(edges) for m in inbox.feed(data[start:end])]
        assert arrived == messages
