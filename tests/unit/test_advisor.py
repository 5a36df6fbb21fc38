"""Advisor: once for each stage, from a timer that nobody has to wait for."""

from __future__ import annotations

import logging

import gevent
import pytest
from gevent import get_hub

from app.engine import advisor
from app.engine.advisor import Advisor
from app.policy.advice import ENOUGH, StageUse
from app.policy.held import Held, bucket_of
from tests.support.hubs import hub_until, in_a_hub_of_its_own

SLICE_S = 0.002


def holds(name: str) -> StageUse:
    return StageUse(name=name, runs_in="worker", runs=ENOUGH, held=Held(0, {bucket_of(0.05): ENOUGH}))


class Measured:
    """uses: what there is to advise about; said: what was."""

    def __init__(self) -> None:
        self.uses: list[StageUse] = []
        self.looks = 0
        self.said: list[str] = []
        self.advisor = Advisor(self._look, SLICE_S, self.said.append)

    def _look(self) -> list[StageUse]:
        self.looks += 1
        return self.uses


def test_each_stage_is_spoken_of_once() -> None:
    measured = Measured()
    measured.advisor.look()
    assert measured.said == []
    measured.uses = [holds("a")]
    measured.advisor.look()
    measured.advisor.look()
    assert [text.split()[1] for text in measured.said] == ["'a'"]
    measured.uses = [holds("a"), holds("b")]
    measured.advisor.look()
    assert [text.split()[1] for text in measured.said] == ["'a'", "'b'"]


def test_it_says_so_in_the_log_unless_told_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    Advisor(lambda: [holds("a")], SLICE_S).look()
    [record] = [one for one in caplog.records if one.name == "percore.engine"]
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("stage 'a' held the hub 54.7 ms at p99")


def test_it_looks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisor, "_EVERY_S", 0.001)

    def watches() -> None:
        measured = Measured()
        measured.advisor.watch()
        hub_until(lambda: measured.looks >= 2, "two looks")
        measured.uses = [holds("a")]
        hub_until(lambda: measured.said, "advice")
        looks = measured.looks
        hub_until(lambda: measured.looks > looks, "a look after that")
        assert len(measured.said) == 1

    in_a_hub_of_its_own(watches)


def test_it_looks_in_a_greenlet_since_a_log_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisor, "_EVERY_S", 0.001)

    def watches() -> None:
        said: list[str] = []

        def say(text: str) -> None:
            gevent.sleep(0)
            said.append(text)

        Advisor(lambda: [holds("a")], SLICE_S, say).watch()
        hub_until(lambda: said, "advice")

    in_a_hub_of_its_own(watches)


def test_it_keeps_no_loop_alive_and_watches_once() -> None:
    def watches() -> None:
        measured = Measured()
        before = get_hub().loop.activecnt
        measured.advisor.watch()
        first = measured.advisor._timer
        measured.advisor.watch()
        assert measured.advisor._timer is first is not None
        assert get_hub().loop.activecnt == before
        assert gevent.wait(timeout=None) is not None  # returns, since nothing is left to wait for

    in_a_hub_of_its_own(watches)
