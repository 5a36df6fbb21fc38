"""Caching as a job has it: where, how large, and what came of it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class CacheUse(StrEnum):
    """What the cache had to do with an answer; in a record, that of the final hop."""

    HIT = "hit"
    """It was stored, and nobody was contacted."""
    REVALIDATED = "revalidated"
    """It was stored, and the origin said that it still holds."""
    STALE = "stale"
    """It was stored and is out of date, but the origin failed, and it may stand in then."""
    MISS = "miss"
    """The origin gave it."""


class CacheOptions(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP cache that a job's fetches go through.

    folder         absolute; made and checked by whoever begins the job (app.files.cache_folder)
    limit_bytes    of disk that it may take up
    writers        processes that use it at once for this job
    scope          what was fetched under another one is not used: which addresses may be contacted
    reuses_errors  whether an answer of 400 and above is taken from there
    """

    folder: str
    limit_bytes: int
    writers: int = 1
    scope: str = ""
    reuses_errors: bool = True


class CacheCounts(msgspec.Struct):
    """Hops of requests that a cache has to do with, by what became of them.

    hits         answered by what was stored, nobody was contacted
    revalidated  answered by what was stored, after the origin had said that it still holds
    stale        answered by what was stored, because the origin failed
    misses       answered by the origin
    stored       of the latter, those that were stored
    """

    hits: int = 0
    revalidated: int = 0
    stale: int = 0
    misses: int = 0
    stored: int = 0

    def plus(self, other: CacheCounts) -> CacheCounts:
        """Both together."""
        return CacheCounts(
            self.hits + other.hits,
            self.revalidated + other.revalidated,
            self.stale + other.stale,
            self.misses + other.misses,
            self.stored + other.stored,
        )
