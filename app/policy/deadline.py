"""Deadline: the moment by which a whole fetch, redirects and retries included, must have ended."""

from __future__ import annotations

import msgspec


class Deadline(msgspec.Struct, frozen=True):
    """`limit_s` seconds from `started_s`, both on the caller's monotonic clock."""

    started_s: float
    limit_s: float

    def remaining_s(self, now_s: float) -> float:
        """Seconds left, 0.0 once it has passed."""
        return max(0.0, self.started_s + self.limit_s - now_s)
