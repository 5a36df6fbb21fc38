"""Stages of native code on bodies so small that a thread or a slice would cost more than the work."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from gevent import GreenletExit

from app.engine.overseer import NOBODY, Overseer
from app.engine.stage_rules import StageRules
from app.engine.stage_runner import StageRunner
from app.errors import StageRaised
from app.fetching.page import Page
from app.hub.per_hub import close_this_hub
from app.stages import Stage, stage
from app.stages.sha256 import sha256
from tests.support import placed_stages as placed
from tests.support.noted import Noted
from tests.support.pages import make_page


@pytest.fixture
def runner() -> Iterator[StageRunner]:
    yield StageRunner(StageRules(wide_cpus=frozenset(os.sched_getaffinity(0))))
    close_this_hub()


inline = stage("inline", runs_in="thread", inline_bytes=4)


def run(runner: StageRunner, made: Stage, page: Page, overseer: Overseer = NOBODY) -> Any:
    return json.loads(bytes(runner.bound(made, overseer)(page, {}, 7)))


def test_the_body_s_size_says_where(runner: StageRunner) -> None:
    about = inline(placed.about.function)
    assert run(runner, about, make_page("four")) == [4, os.getpid(), threading.get_native_id()]
    length, process, thread = run(runner, about, make_page("fives"))
    assert (length, process) == (5, os.getpid())
    assert thread != threading.get_native_id()


def test_each_is_counted_where_it_ran(runner: StageRunner) -> None:
    about = inline(placed.about.function)
    for body in ("four", "four", "fives"):
        run(runner, about, make_page(body))
    assert {(use.name, use.runs_in): use.runs for use in runner.uses()} == {
        ("inline", "worker"): 2,
        ("inline", "thread"): 1,
    }


def test_a_note_is_made_of_it(runner: StageRunner) -> None:
    overseer = Noted()
    run(runner, inline(placed.about.function), make_page("four"), overseer)
    assert overseer.begun == [(7, "inline")]
    assert overseer.running == []


def test_what_would_end_the_greenlet_is_the_stage_s_own_failure(runner: StageRunner) -> None:
    def leaves(page: Page) -> None:
        raise GreenletExit

    with pytest.raises(StageRaised, match="GreenletExit"):
        run(runner, inline(leaves), make_page("four"))


@pytest.mark.parametrize("length", [0, 1, sha256.inline_bytes, sha256.inline_bytes + 1])
def test_a_digest_is_the_same_from_both(runner: StageRunner, length: int) -> None:
    page = make_page(b"x" * length)
    assert run(runner, sha256, page) == sha256(page)
    assert [use.runs_in for use in runner.uses()] == ["worker" if length <= sha256.inline_bytes else "thread"]
