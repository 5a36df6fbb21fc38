"""Tally: how far a batch is, and what came of it. Counts only; how it is shown is `workers.progress`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class Tally:
    """Counts of records by kind ("ok", or an error kind), those of an earlier run of the same job included.

    resumed  how many of the records an earlier run left
    total    records that there will be, None while the input has not been read to its end
    """

    def __init__(self) -> None:
        self.resumed = 0
        self.total: int | None = None
        self._finished: Counter[str] = Counter()
        self._open: dict[int, Mapping[str, int]] = {}  # by shard number

    def set_open(self, number: int, kinds: Mapping[str, int]) -> None:
        """Replace what is known of a shard under way."""
        self._open[number] = kinds

    def finish(self, number: int, kinds: Mapping[str, int]) -> None:
        """Count a finished shard."""
        self._open.pop(number, None)
        self._finished.update(kinds)

    @property
    def kinds(self) -> Counter[str]:
        """All counts at this moment."""
        kinds = self._finished.copy()
        for open_kinds in self._open.values():
            kinds.update(open_kinds)
        return kinds
