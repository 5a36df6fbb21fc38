"""How many fetches an origin gets at once, once it has said that it has too many.

AIMD, additive increase and multiplicative decrease (D. Chiu, R. Jain, "Analysis of the Increase and Decrease
Algorithms for Congestion Avoidance", 1989; TCP's congestion avoidance, RFC 5681 section 3.1; in HTTP clients Netflix's
concurrency-limits, AIMDLimit).

The law: it starts at its ceiling. A sign of overload halves it, to 1 at least, but once a window only: fetches that
began before the last halving don't count, since they say the same thing again (as in RFC 6582); nor do their answers.
After as many answers without such a sign as the limit allows at once, it grows by one, up to the ceiling.

An origin that never says so is never slowed. One that merely answers later needs no law: with n fetches at once it is
sent one every latency / n seconds, which is what Scrapy's AutoThrottle works out by measuring latencies.

Pure. Mutable state: one ConcurrencyLimit an origin.
"""

from __future__ import annotations


class ConcurrencyLimit:
    """limit: fetches at once, now, from 1 to `ceiling`; window: to be noted when a fetch begins."""

    __slots__ = ("_answers", "_ceiling", "limit", "window")

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self.limit = ceiling
        self.window = 0
        self._answers = 0  # since the limit last changed

    @property
    def is_at_ceiling(self) -> bool:
        """Whether there is nothing to recover from."""
        return self.limit == self._ceiling

    def answered(self, window: int) -> None:
        """A fetch that began in `window` went well."""
        if self.limit < self._ceiling and window == self.window:
            self._answers += 1
            if self._answers >= self.limit:
                self.limit += 1
                self._answers = 0

    def overloaded(self, window: int) -> None:
        """A fetch that began in `window` met a sign of overload."""
        if window == self.window:
            self.limit = max(1, self.limit // 2)
            self.window += 1
            self._answers = 0
