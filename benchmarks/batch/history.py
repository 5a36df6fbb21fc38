"""What came of one contestant that was killed again and again. Pure."""

from __future__ import annotations

from msgspec import Struct

from benchmarks.batch.judge import Verdict


class History(Struct, frozen=True):
    """kills      that found it at work
    lives      times that it was started
    refetched  requests for URLs that had their right record on the disk at an earlier kill or at the end
    extra      requests beyond one for each URL, those included: what a kill costs
    crashes    lives that ended by themselves, and not well
    complaint  of the last such
    failure    why it was given up; "" if its list was done
    wall_s     from the first start to the last end
    passes     see the function of that name
    """

    verdict: Verdict
    kills: int
    lives: int
    refetched: int
    extra: int
    crashes: int
    complaint: str
    failure: str
    wall_s: float
    passes: bool


def passes(verdict: Verdict, refetched: int, failure: str) -> bool:
    """One right record for every URL, and nothing fetched again that had its own."""
    return not (verdict.faults or refetched or failure)
