"""Shard run: one shard on its way from raw lines to a finished file.

A worker has several under way at once, so that the slow last requests of one do not idle the core; an outcome
finds its shard by its index. A shard that was begun before (by a worker that died) goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from app.fetching.page import Page
from app.model.outcome import ErrorKind, Failure, Outcome
from app.model.request import Entry
from app.policy.sharding import Shard
from app.sinks.jsonl import JsonlPart, Kinds
from app.sinks.outputs import NO_PAGES, PageOutputs
from app.sinks.page_sink import Aside, PageSink, here
from app.sources.entry import parse_entry


class ShardRun:
    """The entries of a shard that have no record yet, and the file that takes their records.

    part_path   records in the order of completion, while the shard is under way
    final_path  records in input order, once it is finished
    outputs     what is kept of each page besides its record
    aside       see PageSink; Engine has one
    Raises OutputError as JsonlPart and PageSink do.
    """

    def __init__(
        self,
        shard: Shard,
        part_path: Path,
        final_path: Path,
        outputs: PageOutputs = NO_PAGES,
        aside: Aside = here,
    ) -> None:
        self.number = shard.number
        self._final_path = final_path
        # Taken up before the records, which count only where their pages are here.
        self._pages = PageSink(outputs, part_path, final_path, aside=aside)
        try:
            self._part = JsonlPart(part_path, self._pages.is_kept)
        except BaseException:
            self._pages.close()
            raise
        done = self._part.done
        self._open: dict[int, Entry] = {}
        for index, line in enumerate(shard.lines, shard.first_index):
            entry = parse_entry(index, line) if index not in done else None
            if entry is not None:
                self._open[index] = entry

    @property
    def part(self) -> JsonlPart:
        """The file, for whoever flushes it to the disk."""
        return self._part

    @property
    def kinds(self) -> Kinds:
        """Counts of the records stored by now, those that an earlier worker left included."""
        return self._part.kinds

    def entries(self) -> Iterator[Entry]:
        """The entries without a record, in input order."""
        return iter(list(self._open.values()))

    def keep_page(self, index: int, page: Page) -> dict[str, str]:
        """Store the final page of an open entry, before its outcome is recorded: see PageSink.store."""
        return self._pages.store(index, page)

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Store the outcomes of open entries."""
        self._part.append(outcomes)
        for outcome in outcomes:
            del self._open[outcome.index]

    def give_up(self, indexes: Container[int] | None = None) -> None:
        """Record open entries as failed, because each worker that tried them died: `indexes` of them, or all."""
        self.record([_crashed(entry) for entry in self.entries() if indexes is None or entry.index in indexes])

    @property
    def is_complete(self) -> bool:
        """Whether every entry has its record."""
        return not self._open

    def finish(self) -> None:
        """Turn a complete shard into its final file."""
        assert self.is_complete
        try:
            self._pages.finish(self._part.warc_ids)
            self._part.finish(self._final_path)
            self._pages.drop()
        finally:
            self.close()

    def close(self) -> None:
        """Leave an incomplete shard to be taken up again."""
        self._part.close()
        self._pages.close()


def _crashed(entry: Entry) -> Outcome:
    return Outcome(
        index=entry.index,
        id=entry.given_id,
        url=entry.url,
        ok=False,
        error=Failure(ErrorKind.WORKER_CRASHED, "each worker process that ran this request died"),
        meta=entry.given_meta,
    )
