"""Stage rules: what the settings say, and what holds where they leave it open."""

from __future__ import annotations

import os
from typing import Any

import pytest

from app.engine.stage_rules import StageRules
from app.settings import Settings


def rules(**given: Any) -> StageRules:
    return StageRules.of(Settings(**given))


def test_the_slice_is_given_in_milliseconds() -> None:
    assert rules(slice_ms=0.5).slice_s == 0.0005
    assert rules().slice_s == StageRules(wide_cpus=frozenset()).slice_s == 0.002


def test_the_cpus_are_those_that_were_handed_in() -> None:
    assert rules(wide_cpus="0-2,5").wide_cpus == {0, 1, 2, 5}


@pytest.mark.parametrize("text", ["", "nonsense", "5-2"])
def test_else_they_are_our_own(text: str) -> None:
    assert rules(wide_cpus=text).wide_cpus == os.sched_getaffinity(0)


@pytest.mark.parametrize(("workers", "share"), [("auto", 1), (8, 1), (16, 1), (4, 2), (3, 2), (2, 4), (1, 8)])
def test_what_keeps_a_cpu_busy_is_shared_out_among_the_workers(workers: Any, share: int) -> None:
    found = rules(wide_cpus="0-7", workers=workers)
    assert (found.library_threads, found.stage_processes) == (share, share)
    assert found.native_threads == 8


def test_what_is_set_holds() -> None:
    found = rules(wide_cpus="0-7", workers=2, native_threads=3, stage_processes=5)
    assert (found.native_threads, found.library_threads, found.stage_processes) == (3, 3, 5)
