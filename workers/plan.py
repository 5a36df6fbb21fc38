"""Plan: from the options of a command to what is to be done: the inputs looked at, lines selected, shards cut.

The law: nothing is written here, and no more of the inputs is read than their first lines, so that fetching begins at
once however long they are. (Except for a sample of a number: how many there are to select from has to be counted.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from app.errors import UsageError
from app.model.job import FetchOptions
from app.policy.cpu_list import format_cpus
from app.policy.sharding import Shard, cut
from app.sinks.outputs import OutputSpec, PageOutputs, page_outputs, parse_outputs
from app.sources.entry import is_entry
from app.sources.inputs import Inputs
from workers.affinity import worker_count
from workers.batch_options import BatchOptions
from workers.manifest import InputMark, Manifest
from workers.messages import Begin
from workers.output_order import in_order
from workers.places import check_places
from workers.selection import Selection
from workers.stage_sources import stage_sources
from workers.topology import Topology

# A short list is cut into this many shards all the same, so that every core gets some of it. The number must not
# depend on the machine or on --workers: a resumed run has to cut the same way.
_SHARDS_AT_LEAST = 32

# Lines that are counted, at most, to tell whether a list is short: a moment's work, also with large shards.
_COUNTED_AT_MOST = 32_000


class Shards:
    """The shards of a job, to be iterated over once, in any one thread. Blocks as the inputs do."""

    def __init__(self, shards: Iterator[Shard], duplicates: Callable[[], int] = lambda: 0) -> None:
        self._shards = shards
        self._duplicates = duplicates

    def __iter__(self) -> Iterator[Shard]:
        return self._shards

    @property
    def duplicates(self) -> int:
        """Requests that --dedupe has dropped by now. May be asked for in any thread."""
        return self._duplicates()


class Plan(msgspec.Struct, frozen=True):
    """What a run, or a dry run, is to do with its input."""

    inputs: Inputs
    selection: Selection
    dedupe: bool
    shard_size: int
    fetch: FetchOptions
    outputs: list[OutputSpec]
    pages: PageOutputs
    manifest: Manifest

    def shards(self, folder: Path) -> Shards:
        """The shards; to be asked for once. folder: for what --dedupe keeps meanwhile."""
        lines: Iterable[bytes] = self.selection.lines(self.inputs.lines(), is_entry)
        if not self.dedupe:
            return Shards(cut(lines, self.shard_size))
        # Only now: the others need no database.
        from app.sources.dedupe import Unique

        unique = Unique(lines, folder)
        return Shards(cut(unique, self.shard_size), lambda: unique.dropped)


def make_plan(options: BatchOptions) -> Plan:
    """Look at the inputs' beginnings, and at the outputs' names. Raises UsageError."""
    inputs = _open(options)
    outputs = in_order(parse_outputs(options.outputs))
    check_places(options, inputs, outputs)
    selection = _selection(options, inputs)
    shard_size = selection.wider(options.shard_size)
    if inputs.is_repeatable:
        shard_size = _shorter(shard_size, options.limit, inputs)
    settings = options.settings
    fetch = FetchOptions(
        timeout_s=settings.timeout_s,
        retries=settings.retries,
        body=options.body,
        timing=options.timing,
        headers=options.headers,
        robots=settings.robots,
    )
    bodies = None if options.store_bodies is None else str(Path(options.store_bodies).resolve())
    manifest = Manifest(
        inputs=[InputMark(*mark) for mark in inputs.fingerprint()],
        formats=list(inputs.formats),
        url_column=options.url_column,
        dedupe=options.dedupe,
        outputs=[outputs[0].kind, *(output.whole_name for output in outputs[1:])],
        bodies=bodies,
        limit=options.limit,
        sample=options.sample,
        seed=options.seed,
        shard_size=shard_size,
        stages=list(options.stages),
        sources=stage_sources(options.stages),
        options=fetch,
        max_body_bytes=settings.max_body_bytes,
        max_redirects=settings.max_redirects,
        deny_private=options.deny_private,
    )
    pages = page_outputs(outputs, None if options.dry_run else options.store_bodies)
    return Plan(inputs, selection, options.dedupe, shard_size, fetch, outputs, pages, manifest)


def begin_of(options: BatchOptions, plan: Plan, folder: Path, topology: Topology) -> Begin:
    """What each child of a run in the work folder `folder` is told first."""
    # The children share each origin, and what the machine has besides their cores.
    workers = workers_of(options, topology)
    settings = msgspec.structs.replace(options.settings, workers=workers, wide_cpus=format_cpus(topology.allowed))
    return Begin(
        settings,
        plan.fetch,
        list(options.stages),
        plan.shard_size,
        str(folder),
        options.deny_private,
        plan.pages,
        options.cache_options(workers),
        plan.manifest.sources or {},
    )


def workers_of(options: BatchOptions, topology: Topology) -> int:
    """How many children a run has on this machine."""
    return worker_count(topology) if options.settings.workers == "auto" else options.settings.workers


def _open(options: BatchOptions) -> Inputs:
    return Inputs(options.input_names, options.input_format, options.url_column)


def _selection(options: BatchOptions, inputs: Inputs) -> Selection:
    selection = Selection(options.limit, options.to_sample, options.seed)
    if selection.sample is None or selection.sample.number is None:
        return selection
    if not inputs.is_repeatable:
        raise UsageError("--sample of a number has to read the input twice; give a share (0.01), or the list in a file")
    counted = _open(options)
    total = sum(map(is_entry, islice(counted.lines(), options.limit)))
    counted.close()
    return msgspec.structs.replace(selection, total=total)


def _shorter(shard_size: int, limit: int | None, inputs: Inputs) -> int:
    """The shard size for a list that may be too short to give every core a shard of the usual size."""
    most = min(shard_size * _SHARDS_AT_LEAST, _COUNTED_AT_MOST)
    lines = inputs.count_lines(most if limit is None else min(most, limit))
    if lines == most:
        return shard_size
    return max(1, min(shard_size, math.ceil(lines / _SHARDS_AT_LEAST)))
