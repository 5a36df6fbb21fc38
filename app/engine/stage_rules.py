"""Stage rules: what the settings say about where and how stages run in one process."""

from __future__ import annotations

import os

import msgspec

from app.policy.cpu_list import parse_cpus
from app.settings import Settings


class StageRules(msgspec.Struct, frozen=True, kw_only=True):
    """Of one process.

    slice_s          time that worker stages together may use before the hub polls
    wide_cpus        for threads and processes
    native_threads   functions at a time; as many again are handed to them ahead
    library_threads  what native libraries (BLAS, OpenMP) are told to use for one call
    stage_processes  children at most
    """

    slice_s: float = 0.002
    wide_cpus: frozenset[int]
    native_threads: int = 1
    library_threads: int = 1
    stage_processes: int = 1

    @classmethod
    def of(cls, settings: Settings) -> StageRules:
        """By the settings, and where they leave it open by this process's CPUs, now.

        Threads wait for nobody, so each worker may have one on every CPU. What keeps a CPU busy in each worker (a
        library's threads, children) is shared out: with a worker on every core there is one of it in each.
        """
        wide = parse_cpus(settings.wide_cpus) or frozenset(os.sched_getaffinity(0))
        workers = len(wide) if settings.workers == "auto" else settings.workers
        share = max(1, len(wide) // workers)
        threads = settings.native_threads
        return cls(
            slice_s=settings.slice_ms / 1000,
            wide_cpus=wide,
            native_threads=len(wide) if threads == "auto" else threads,
            library_threads=share if threads == "auto" else threads,
            stage_processes=share if settings.stage_processes == "auto" else settings.stage_processes,
        )
