from __future__ import annotations

from collections.abc import Callable

import pytest

from app.fetching import alarm as module
from app.fetching.alarm import Alarm


class Loop:
    """Timers that ring when the test says so. `set_s`: for when each was set, from the moment that it was."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.set_s: list[float] = []
        self.open = 0
        self._ring: Callable[[], None] | None = None

    def timer(self, after_s: float, *, ref: bool) -> Loop:
        assert not ref, "the loop may end"
        assert self.open == 0, "one timer at a time"
        self.open += 1
        self.set_s.append(after_s)
        return self

    def start(self, ring: Callable[[], None], *, update: bool) -> None:
        assert update
        self._ring = ring

    def stop(self) -> None:
        self._ring = None

    def close(self) -> None:
        self.open -= 1

    def rings(self, at_s: float) -> None:
        self.now_s = at_s
        assert self._ring is not None
        self._ring()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(module.time, "monotonic", lambda: made.now_s)
    return made


@pytest.fixture
def calls() -> list[None]:
    return []


@pytest.fixture
def alarm(loop: Loop, calls: list[None]) -> Alarm:
    return Alarm(loop, lambda: calls.append(None))


def test_it_calls_once_when_it_is_due(alarm: Alarm, loop: Loop, calls: list[None]) -> None:
    alarm.set(2.0)
    loop.rings(102.0)
    assert (len(calls), loop.set_s, loop.open) == (1, [2.0], 0)


def test_a_later_moment_sets_no_other_timer_until_the_first_has_rung(
    alarm: Alarm, loop: Loop, calls: list[None]
) -> None:
    alarm.set(2.0)
    alarm.set(5.0)
    alarm.set(7.0)
    assert loop.set_s == [2.0]
    loop.rings(102.0)
    assert (calls, loop.set_s) == ([], [2.0, 5.0])
    loop.rings(107.0)
    assert len(calls) == 1


def test_an_earlier_moment_counts_at_once(alarm: Alarm, loop: Loop, calls: list[None]) -> None:
    alarm.set(5.0)
    alarm.set(1.0)
    assert loop.set_s == [5.0, 1.0]
    loop.rings(101.0)
    assert (len(calls), loop.open) == (1, 0), "the first timer is gone"


def test_what_was_unset_does_not_call(alarm: Alarm, loop: Loop, calls: list[None]) -> None:
    alarm.set(2.0)
    alarm.unset()
    loop.rings(102.0)
    assert (calls, loop.open) == ([], 0)


def test_after_it_has_rung_it_is_set_anew(alarm: Alarm, loop: Loop, calls: list[None]) -> None:
    alarm.set(2.0)
    loop.rings(102.0)
    alarm.set(3.0)
    assert loop.set_s == [2.0, 3.0]
    loop.rings(105.0)
    assert len(calls) == 2


def test_closing_gives_the_timer_back(alarm: Alarm, loop: Loop) -> None:
    alarm.close()
    alarm.set(2.0)
    alarm.close()
    alarm.close()
    assert loop.open == 0
