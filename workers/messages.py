"""Messages between a batch's parent and its children, and their form on the wire.

A frame is eight bytes of length (big-endian) and a msgpack body. Parent and children are always of the same
version, since one starts the other: there is no negotiation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from app.model.caching import CacheCounts, CacheOptions
from app.model.job import FetchOptions
from app.policy.advice import StageUse
from app.policy.heaviest import Weighed
from app.policy.sharding import Shard
from app.settings import Settings
from app.sinks.outputs import NO_PAGES, PageOutputs


class Begin(msgspec.Struct, frozen=True, tag=True):
    """Parent to child, first: everything that holds for the whole job.

    deny_private  contact public addresses only, and those of PERCORE_ALLOW_PRIVATE
    folder      the job's work folder
    pages       what is kept of each page besides its record
    cache       what the fetches go through first
    sources     by what the code of the stages is known again, as far as that was found by now
    """

    settings: Settings
    options: FetchOptions
    stages: list[str]
    shard_size: int
    folder: str
    deny_private: bool = False
    pages: PageOutputs = NO_PAGES
    cache: CacheOptions | None = None
    sources: dict[str, str] = {}


class TakeShard(msgspec.Struct, frozen=True, tag=True):
    """Parent to child, in answer to Want.

    suspects   indexes whose stages were running when a worker died: to be run one at a time
    condemned  indexes that have cost too many workers: to be recorded as crashed, not run
    give_up    the whole shard has: record all that is open as crashed
    """

    shard: Shard
    suspects: frozenset[int] = frozenset()
    condemned: frozenset[int] = frozenset()
    give_up: bool = False


class NoMoreShards(msgspec.Struct, frozen=True, tag=True):
    """Parent to child, in answer to every Want there is: finish what you have, then leave."""


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Parent to child: begin no more requests; those in flight may go on for `limit_s` seconds."""

    limit_s: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Child to parent: the stages were found, shards may come."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Child to parent: the job can't be done as it was asked for (an unknown stage). Nothing was fetched."""

    message: str


class Imported(msgspec.Struct, frozen=True, tag=True):
    """Child to parent: by what is known again what the stages were imported from: see app.files.sources."""

    sources: dict[str, str]


class Want(msgspec.Struct, frozen=True, tag=True):
    """Child to parent: there is room for one more shard."""


class Began(msgspec.Struct, frozen=True, tag=True):
    """Child to parent: a shard was taken up; `kinds` counts the records that an earlier worker left in it."""

    number: int
    kinds: dict[str, int]


class Count(msgspec.Struct, frozen=True, tag=True):
    """Child to parent, a few times a second.

    shards     shard number -> counts of its records by kind: whole counts, so that a dead child's successor
               replaces them; only shards that have changed
    in_flight  fetches that hold a slot, at this moment
    cpu        CPU seconds per second, of late
    late_s     by how much the hub was late, at most, since the last Count
    slowest    the origins that most time went to since the beginning; None when not told this time
    """

    shards: dict[int, dict[str, int]]
    in_flight: int
    cpu: float = 0.0
    late_s: float = 0.0
    slowest: list[Weighed] | None = None


class ShardDone(msgspec.Struct, frozen=True, tag=True):
    """Child to parent: the shard's final file is in place; `kinds` counts its records."""

    number: int
    kinds: dict[str, int]


class Used(msgspec.Struct, frozen=True, tag=True):
    """Child to parent, at its end: what each stage has used there, and what has come of the cache."""

    uses: list[StageUse]
    cache: CacheCounts | None = None


class Warned(msgspec.Struct, frozen=True, tag=True):
    """Child to parent: what a person should know, and the work goes on without. Said once, whoever says it first."""

    text: str


class Fault(msgspec.Struct, frozen=True, tag=True):
    """Child to parent, last: the machine refuses (a full disk); repeating would not help."""

    message: str


ToChild = Begin | TakeShard | NoMoreShards | Drain
ToParent = Ready | Refused | Imported | Want | Began | Count | ShardDone | Used | Warned | Fault

M = TypeVar("M")

_LENGTH_BYTES = 8

_encoder = msgspec.msgpack.Encoder()


def to_frame(message: ToChild | ToParent) -> bytes:
    """The bytes of one message."""
    match message:
        case Refused(text) | Warned(text) | Fault(text):
            # A file may be named in it, whose name need not be UTF-8.
            message = type(message)(text.encode("utf-8", "backslashreplace").decode())
    body = _encoder.encode(message)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class Inbox(Generic[M]):
    """Puts the messages of one direction together from whatever pieces arrive."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[M]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[M]:
        """The messages that `data` completes."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH_BYTES:end])
            del self._buffer[:end]
            yield self._decoder.decode(body)


def child_inbox() -> Inbox[ToChild]:
    """What a child reads."""
    return Inbox(msgspec.msgpack.Decoder(ToChild))


def parent_inbox() -> Inbox[ToParent]:
    """What the parent reads."""
    return Inbox(msgspec.msgpack.Decoder(ToParent))
