"""Plan: from the options of a command to what is to be done: the input opened, its lines selected, the shards cut.

The law: nothing is written here, and no more of the input is read than its first lines, so that fetching begins at
once however long it is. (Except for a sample of a number: how many there are to select from has to be counted.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import islice

import msgspec

from app.errors import UsageError
from app.model.job import FetchOptions
from app.policy.sharding import Shard, cut
from app.sources.entry import is_entry
from workers.batch_input import BatchInput
from workers.batch_options import BatchOptions
from workers.manifest import Manifest
from workers.selection import IsEntry, Selection

# A short list is cut into this many shards all the same, so that every core gets some of it. The number must not
# depend on the machine or on --workers: a resumed run has to cut the same way.
_SHARDS_AT_LEAST = 32

# Lines that are counted, at most, to tell whether a list is short: a moment's work, also with large shards.
_COUNTED_AT_MOST = 32_000


class Plan(msgspec.Struct, frozen=True):
    """What a run, or a dry run, is to do with its input."""

    source: BatchInput
    selection: Selection
    shard_size: int
    fetch: FetchOptions
    manifest: Manifest

    @property
    def is_entry(self) -> IsEntry:
        """Whether a line will have a record."""
        return partial(is_entry, form=self.source.entry_form)

    def shards(self) -> Iterator[Shard]:
        """The shards, from where the input stands. Blocks as the input does."""
        return cut(self.selection.lines(self.source.lines(), self.is_entry), self.shard_size)


def make_plan(options: BatchOptions) -> Plan:
    """Open the input and look at its beginning. Raises UsageError."""
    source = _open(options)
    entry = partial(is_entry, form=source.entry_form)
    selection = _selection(options, source, entry)
    shard_size = options.shard_size
    if source.is_repeatable:
        shard_size = _shorter(selection.wider(shard_size), selection, options, entry)
    settings = options.settings
    fetch = FetchOptions(
        timeout_s=settings.timeout_s,
        retries=settings.retries,
        body=options.body,
        timing=options.timing,
        headers=options.headers,
        robots=settings.robots,
    )
    manifest = Manifest(
        inputs=[source.mark()],
        format=source.source.format,
        url_column=options.url_column,
        limit=options.limit,
        sample=options.sample,
        seed=options.seed,
        shard_size=shard_size,
        stages=list(options.stages),
        options=fetch,
        max_body_bytes=settings.max_body_bytes,
        max_redirects=settings.max_redirects,
        deny_private=options.deny_private,
    )
    return Plan(source, selection, shard_size, fetch, manifest)


def _open(options: BatchOptions) -> BatchInput:
    return BatchInput(options.input_name, options.input_format, options.url_column)


def _selection(options: BatchOptions, source: BatchInput, entry: IsEntry) -> Selection:
    selection = Selection(options.limit, options.to_sample, options.seed)
    if selection.sample is None or selection.sample.number is None:
        return selection
    if not source.is_repeatable:
        raise UsageError("--sample of a number has to read the input twice; give a share (0.01), or the list in a file")
    lines = _open(options)
    total = sum(map(entry, islice(lines.lines(), options.limit)))
    lines.close()
    return msgspec.structs.replace(selection, total=total)


def _shorter(shard_size: int, selection: Selection, options: BatchOptions, entry: IsEntry) -> int:
    """The shard size for a list that may be too short to give every core a shard of the usual size."""
    source = _open(options)
    most = min(shard_size * _SHARDS_AT_LEAST, _COUNTED_AT_MOST)
    lines = sum(1 for _ in islice(source.lines(), most if selection.limit is None else min(most, selection.limit)))
    source.close()
    if lines == most:
        return shard_size
    return max(1, min(shard_size, math.ceil(lines / _SHARDS_AT_LEAST)))
