"""The scheduler's law, in a time that passes only when a stage says so."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent import GreenletExit, get_hub
from gevent.event import Event
from gevent.lock import Semaphore
from greenlet import getcurrent, greenlet

from app.cpu import checkpoint, no_preempt
from app.cpu.run import Run
from app.cpu.scheduler import Scheduler
from app.cpu.slice_timer import SIGNAL
from app.errors import Draining, StageTimeout
from tests.support.slices import Slices


@pytest.fixture
def slices() -> Iterator[Slices]:
    made = Slices()
    yield made
    made.scheduler.close()


@pytest.fixture
def seen() -> list[object]:
    return []


def run_all(slices: Slices, *functions: Callable[[], object]) -> list[object]:
    """Run them as stages, begun in this order; what they give."""
    running = [gevent.spawn(slices.scheduler.run, function) for function in functions]
    gevent.joinall(running, raise_error=True)
    return [one.value for one in running]


# --- calls ------------------------------------------------------------------------------------------------------------


def test_it_gives_what_the_function_returns(slices: Slices) -> None:
    assert slices.scheduler.run(divmod, 7, 3) == (2, 1)


def test_it_raises_what_the_function_raises(slices: Slices) -> None:
    with pytest.raises(ZeroDivisionError):
        slices.scheduler.run(divmod, 7, 0)
    assert slices.scheduler.statistics().runs == 1


def test_a_run_within_a_run_is_part_of_it(slices: Slices) -> None:
    scheduler = slices.scheduler
    assert scheduler.run(lambda: scheduler.run(lambda: scheduler.statistics().running), name="outer") == "outer"
    assert scheduler.statistics().runs == 1


def test_the_hub_itself_runs_nothing(slices: Slices) -> None:
    caught: list[str] = []

    def callback() -> None:
        try:
            slices.scheduler.run(divmod, 7, 3)
        except RuntimeError as error:
            caught.append(str(error))

    get_hub().loop.run_callback(callback)
    gevent.sleep(0)
    assert caught == ["the hub can't run a stage"]


def test_greenlet_and_memory_are_left_as_they_were(slices: Slices) -> None:
    def runs() -> list[Run]:
        return [one for one in gc.get_objects() if isinstance(one, Run)]

    before = runs()
    gc.disable()
    try:
        slices.scheduler.run(slices.spend, 1)
        assert not getcurrent().__dict__.keys() & {"switch", "throw", "switch_out", "_percore_run"}
        gevent.sleep(0)  # the hub is still at switching to us
        assert len(runs()) == len(before)
    finally:
        gc.enable()


# --- slices -----------------------------------------------------------------------------------------------------------


def test_a_turn_serves_as_many_as_the_slice_has_room_for(slices: Slices) -> None:
    """Else each short one in line costs a poll, and a line that has once formed stays."""
    polls: list[int] = []

    def short() -> None:
        polls.append(slices.scheduler.hub.loop.iteration)

    run_all(slices, lambda: slices.spend(1), *[short] * 10)
    assert len(polls) == 10
    assert len(set(polls)) == 1


def test_a_slice_that_is_used_up_ends_and_others_get_theirs(slices: Slices, seen: list[object]) -> None:
    def stage(name: str) -> None:
        for part in range(3):
            seen.append((name, part))
            slices.spend(1)

    run_all(slices, lambda: stage("a"), lambda: stage("b"))
    assert seen == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert slices.scheduler.statistics().forced == 6


def test_a_tick_before_its_time_changes_nothing(slices: Slices) -> None:
    def stage() -> float:
        slices.spend(0.25)
        return slices.timer.armed_s

    assert slices.scheduler.run(stage) == 0.75
    assert slices.scheduler.statistics().forced == 0


def test_the_hub_polls_between_slices(slices: Slices, seen: list[object]) -> None:
    """A timer that is due is an event as any of I/O; callbacks are not enough."""

    def stage() -> None:
        for part in range(3):
            slices.spend(1)
            seen.append(part)

    def ticker() -> None:
        for _ in range(3):
            gevent.sleep(0.000001)
            seen.append("polled")

    gevent.joinall([gevent.spawn(ticker), gevent.spawn(slices.scheduler.run, stage)], raise_error=True)
    assert seen == ["polled", 0, "polled", 1, "polled", 2]


def test_a_short_stage_passes_the_long_ones(slices: Slices, seen: list[object]) -> None:
    def long(number: int) -> None:
        for _ in range(4):
            slices.spend(1)
            seen.append(number)

    crowd = [gevent.spawn(slices.scheduler.run, long, number) for number in range(10)]
    short = gevent.spawn_later(0, slices.scheduler.run, seen.append, "short")
    gevent.joinall([short])
    turns_before = len(seen)
    gevent.joinall(crowd, raise_error=True)
    assert turns_before <= 3
    assert sorted(map(str, seen)) == sorted([str(number) for number in range(10)] * 4 + ["short"])


def test_short_stages_start_at_once_and_share_one_slice_between_two_polls(slices: Slices, seen: list[object]) -> None:
    polls: list[int] = []
    loop = get_hub().loop

    def stage() -> None:
        slices.use(0.25)
        polls.append(loop.iteration)

    run_all(slices, *[stage] * 9)
    counted = [polls.count(iteration) for iteration in sorted(set(polls))]
    assert counted[0] == 4
    assert sum(counted) == 9
    assert max(counted) == 4


def test_nothing_is_armed_while_nothing_runs(slices: Slices) -> None:
    def stage() -> bool:
        return slices.scheduler.statistics().is_armed

    assert slices.scheduler.run(stage)
    gevent.sleep(0)
    assert not slices.scheduler.statistics().is_armed
    run_all(slices, *[lambda: slices.spend(1)] * 3)
    gevent.sleep(0)
    assert not slices.scheduler.statistics().is_armed


def test_the_timer_is_set_once_for_many_short_stages(slices: Slices) -> None:
    for _ in range(4):
        slices.scheduler.run(slices.use, 0.125)
    assert slices.timer.settings == 1
    gevent.sleep(0)
    assert slices.timer.settings == 2
    assert slices.timer.armed_s == 0
    armed_s = slices.scheduler.run(lambda: slices.timer.armed_s)
    assert armed_s == 0.5  # what is left until the hub polls


def test_who_comes_last_is_last_though_there_is_time_left(slices: Slices, seen: list[object]) -> None:
    def comes_by_io() -> None:
        gevent.sleep(0.000001)
        slices.scheduler.run(seen.append, "last")

    comes = gevent.spawn(comes_by_io)
    first = gevent.spawn(slices.scheduler.run, slices.use, 1)
    second = gevent.spawn(slices.scheduler.run, seen.append, "in line")
    gevent.joinall([first, second, comes], raise_error=True)
    assert seen == ["in line", "last"]


# --- stages that wait -------------------------------------------------------------------------------------------------


def test_who_waits_gives_up_the_core(slices: Slices, seen: list[object]) -> None:
    gate = Event()

    def waits() -> None:
        seen.append("waits")
        gate.wait()
        seen.append("woken")

    def opens() -> None:
        statistics = slices.scheduler.statistics()
        seen.append((statistics.running, statistics.asleep))
        gate.set()

    one = gevent.spawn(slices.scheduler.run, waits)
    other = gevent.spawn(slices.scheduler.run, opens, name="opens")
    gevent.joinall([one, other], raise_error=True)
    assert seen == ["waits", ("opens", 1), "woken"]
    assert slices.scheduler.statistics().asleep == 0


def test_a_stage_that_waits_for_what_another_holds_lets_it_go_on(slices: Slices, seen: list[object]) -> None:
    lock = Semaphore()

    def stage(name: str) -> None:
        with lock:
            seen.append(name)
            slices.spend(1)
            seen.append(name)

    run_all(slices, *[lambda name=name: stage(name) for name in "abc"])  # type: ignore[misc]
    assert seen == ["a", "a", "b", "b", "c", "c"]


def test_who_was_woken_is_accounted_and_its_slice_ends(slices: Slices, seen: list[object]) -> None:
    def sleeper() -> None:
        gevent.sleep(0)
        slices.spend(1)
        seen.append("sleeper")

    def other() -> None:
        slices.spend(1)
        seen.append("other")

    gevent.joinall(
        [
            gevent.spawn(slices.scheduler.run, sleeper, name="sleeper"),
            gevent.spawn(slices.scheduler.run, other, name="other"),
        ],
        raise_error=True,
    )
    statistics = slices.scheduler.statistics()
    assert statistics.forced == 2
    assert statistics.cpu_s == {"sleeper": 1, "other": 1}


def test_who_is_woken_gets_a_little_at_least(slices: Slices) -> None:
    gate = Event()

    def uses_it_up() -> None:
        slices.use(1)
        gate.set()

    def woken() -> float:
        gate.wait()
        return slices.timer.armed_s

    waits = gevent.spawn(slices.scheduler.run, woken)
    gevent.spawn(slices.scheduler.run, uses_it_up)
    assert waits.get() == pytest.approx(0.1)


def test_the_timer_rests_while_all_stages_wait(slices: Slices) -> None:
    gate = Event()
    waiting = gevent.spawn(slices.scheduler.run, gate.wait)
    gevent.sleep(0)
    gevent.sleep(0)
    statistics = slices.scheduler.statistics()
    assert (statistics.asleep, statistics.is_armed) == (1, False)
    gate.set()
    waiting.get()


def test_a_wake_that_comes_while_it_is_in_line_is_kept_until_it_waits(slices: Slices, seen: list[object]) -> None:
    """As of any greenlet that asks the hub for a switch, goes on for a while and then waits for it."""

    def stage() -> None:
        get_hub().loop.run_callback(getcurrent().switch, "the wake")
        slices.spend(1)
        seen.append("went on")
        seen.append(get_hub().switch())

    run_all(slices, stage)
    assert seen == ["went on", "the wake"]


@pytest.mark.parametrize("is_main", [True, False])
def test_who_waits_behind_our_back_is_found_out_by_the_tick(slices: Slices, seen: list[object], is_main: bool) -> None:
    gate = Event()

    def in_hub() -> None:
        slices.spend(1)

    def waits() -> None:
        get_hub().loop.run_callback(in_hub)
        gate.wait()

    def stage() -> None:
        slices.spend(1)
        greenlet(waits).switch()

    def opens() -> None:
        slices.spend(1)
        gate.set()
        seen.append("opened")

    second = gevent.spawn(slices.scheduler.run, opens)
    if is_main:  # which the hub is a child of
        slices.scheduler.run(stage)
    else:
        gevent.joinall([gevent.spawn(slices.scheduler.run, stage), second], raise_error=True)
    assert seen == ["opened"]


@pytest.mark.parametrize("begins", ["by its turn", "woken"])
def test_a_tick_just_before_it_is_switched_to_does_not_take_it_for_gone(
    slices: Slices, monkeypatch: pytest.MonkeyPatch, begins: str
) -> None:
    """The process may have been held up there, for longer than a slice."""

    preemption = slices.scheduler._preemption
    began, late = preemption.began, []

    def began_with_delay(slice_ends_s: float, now_s: float) -> None:
        began(slice_ends_s, now_s)
        if getcurrent() is get_hub() and not late:
            late.append(slices.scheduler.current)
            slices.spend(2)

    def stage() -> str | None:
        slices.spend(1) if begins == "by its turn" else gevent.sleep(0)
        return slices.scheduler.statistics().running

    monkeypatch.setattr(preemption, "began", began_with_delay)
    assert slices.scheduler.run(stage, name="stage") == "stage"
    assert len(late) == 1
    assert slices.scheduler.statistics().postponed == {"percore": 1}


def test_a_greenlet_that_a_stage_made_waits_in_its_place(slices: Slices, seen: list[object]) -> None:
    """It switches to the hub without the scheduler being told; others go on all the same."""

    def child() -> None:
        gevent.sleep(0)
        seen.append("child")

    def stage() -> None:
        greenlet(child).switch()
        seen.append("stage")
        slices.spend(1)
        checkpoint()

    run_all(slices, stage, lambda: seen.append("other"))
    assert sorted(map(str, seen)) == ["child", "other", "stage"]
    statistics = slices.scheduler.statistics()
    assert (statistics.asleep, statistics.waiting, statistics.running) == (0, 0, None)


def in_a_greenlet_of_its_own(slices: Slices, waits: Callable[[], object]) -> Callable[[], None]:
    def stage() -> None:
        slices.use(0.25)
        greenlet(waits).switch()

    return stage


def test_a_stage_that_left_unseen_is_accounted_when_another_begins(slices: Slices) -> None:
    scheduler = slices.scheduler
    scheduler.run(in_a_greenlet_of_its_own(slices, lambda: scheduler.run(slices.use, 0.5)), name="left")
    assert scheduler.statistics().cpu_s == {"left": 0.25, "Slices.use": 0.5}


def test_a_stage_that_left_unseen_is_accounted_at_the_next_turn(slices: Slices) -> None:
    gate = Event()
    leaves = in_a_greenlet_of_its_own(slices, lambda: gevent.sleep(0.000001))

    def woken() -> None:
        gate.wait()
        leaves()

    def next_in_line() -> None:
        gate.set()
        slices.spend(1)

    one = gevent.spawn(slices.scheduler.run, woken, name="left")
    other = gevent.spawn(slices.scheduler.run, next_in_line, name="other")
    gevent.joinall([one, other], raise_error=True)
    assert slices.scheduler.statistics().cpu_s == {"left": 0.25, "other": 1}


def test_a_stage_that_left_unseen_is_accounted_when_another_is_woken(slices: Slices) -> None:
    gate = Event()

    def woken() -> None:
        gate.wait()
        slices.use(0.5)

    one = gevent.spawn(slices.scheduler.run, woken, name="woken")
    leaves = in_a_greenlet_of_its_own(slices, lambda: (gate.set(), gevent.sleep(0.000001)))
    other = gevent.spawn(slices.scheduler.run, leaves, name="left")
    gevent.joinall([one, other], raise_error=True)
    assert slices.scheduler.statistics().cpu_s == {"woken": 0.5, "left": 0.25}


def test_it_is_not_preempted_while_a_greenlet_of_its_own_runs(slices: Slices) -> None:
    slices.scheduler.run(lambda: greenlet(lambda: slices.spend(1)).switch())
    assert slices.scheduler.statistics().postponed == {"greenlet": 1}


# --- being killed -----------------------------------------------------------------------------------------------------


def rests(slices: Slices) -> bool:
    statistics = slices.scheduler.statistics()
    return (statistics.waiting, statistics.asleep, statistics.running) == (0, 0, None)


def test_killed_in_line(slices: Slices, seen: list[object]) -> None:
    victims: list[gevent.Greenlet] = []

    def kills() -> None:
        slices.spend(1)
        assert slices.scheduler.statistics().waiting == 1
        victims[0].kill()

    killer = gevent.spawn(slices.scheduler.run, kills)
    slices_left = gevent.spawn(slices.scheduler.run, slices.spend, 1)
    victims.append(gevent.spawn(slices.scheduler.run, seen.append, "ran"))
    gevent.joinall([killer, slices_left, *victims], raise_error=True)
    assert rests(slices)


def test_killed_before_its_first_turn(slices: Slices, seen: list[object]) -> None:
    def uses_it_up() -> None:
        slices.use(1)

    first = gevent.spawn(slices.scheduler.run, uses_it_up)
    victim = gevent.spawn(slices.scheduler.run, seen.append, "ran")
    get_hub().loop.run_callback(lambda: gevent.spawn(victim.kill))
    gevent.joinall([first, victim])
    assert isinstance(victim.value, GreenletExit)
    assert seen == []
    assert rests(slices)


def test_killed_where_it_was_preempted(slices: Slices, seen: list[object]) -> None:
    def victim() -> None:
        try:
            slices.spend(1)
        finally:
            seen.append("cleaned up")
            checkpoint()

    dying = gevent.spawn(slices.scheduler.run, victim)
    gevent.spawn(dying.kill)
    gevent.joinall([dying])
    assert isinstance(dying.value, GreenletExit)
    assert seen == ["cleaned up"]
    assert rests(slices)


def test_killed_while_it_waits(slices: Slices) -> None:
    dying = gevent.spawn(slices.scheduler.run, Event().wait)
    gevent.sleep(0)
    dying.kill()
    assert rests(slices)
    assert slices.scheduler.statistics().runs == 1


def test_killed_behind_our_back(slices: Slices) -> None:
    """By greenlet's own throw, past what the run has put in place of it."""
    dying = gevent.spawn(slices.scheduler.run, Event().wait)
    gevent.sleep(0)
    get_hub().loop.run_callback(greenlet.throw, dying, GreenletExit)
    dying.join()
    assert rests(slices)


def test_a_timeout_around_it_passes_through(slices: Slices) -> None:
    def stage() -> None:
        while True:
            slices.spend(1)

    with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
        slices.scheduler.run(stage)
    assert rests(slices)


def test_a_stage_that_catches_a_timeout_goes_on_under_the_scheduler(slices: Slices) -> None:
    def stage() -> str | None:
        with gevent.Timeout(0.001, False):
            Event().wait()
        slices.spend(1)
        return slices.scheduler.statistics().running

    assert slices.scheduler.run(stage, name="stage") == "stage"
    assert slices.scheduler.statistics().forced == 1


def test_closing_wakes_who_is_in_line(slices: Slices, seen: list[object]) -> None:
    def closes() -> None:
        slices.use(1)
        gevent.sleep(0)
        slices.scheduler.close()
        slices.scheduler.close()
        slices.spend(1)
        checkpoint()
        seen.append("went on")

    first = gevent.spawn(slices.scheduler.run, closes)
    second = gevent.spawn(slices.scheduler.run, seen.append, "ran")
    gevent.joinall([first, second])
    assert seen == ["went on"]
    assert isinstance(second.exception, Draining)
    with pytest.raises(Draining, match="closed"):
        slices.scheduler.run(divmod, 7, 3)


# --- ends by request, and none ----------------------------------------------------------------------------------------


def test_a_checkpoint_ends_a_slice_that_is_used_up(slices: Slices, seen: list[object]) -> None:
    def stage(name: str) -> None:
        for part in range(2):
            seen.append((name, part))
            slices.use(0.5)
            checkpoint()
            slices.use(0.5)
            checkpoint()

    run_all(slices, lambda: stage("a"), lambda: stage("b"))
    assert seen == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    statistics = slices.scheduler.statistics()
    assert (statistics.voluntary, statistics.forced) == (4, 0)


def test_a_checkpoint_outside_of_a_stage_does_nothing() -> None:
    checkpoint()


def test_no_preempt_keeps_slices_from_ending(slices: Slices, seen: list[object]) -> None:
    def stage(name: str) -> None:
        with no_preempt(), no_preempt():
            for _ in range(2):
                seen.append(name)
                slices.spend(1)
                checkpoint()
        slices.spend(1)

    run_all(slices, lambda: stage("a"), lambda: stage("b"))
    assert seen == ["a", "a", "b", "b"]
    statistics = slices.scheduler.statistics()
    assert statistics.postponed == {"no_preempt": 4}
    assert (statistics.forced, statistics.voluntary) == (2, 0)


def test_no_preempt_outside_of_a_stage_does_nothing() -> None:
    with no_preempt():
        pass


def test_a_stage_that_is_not_to_be_preempted_has_checkpoints_only(slices: Slices) -> None:
    def stage() -> None:
        slices.spend(1)
        checkpoint()

    slices.scheduler.run(stage, preempt=False)
    statistics = slices.scheduler.statistics()
    assert statistics.postponed == {"no_preempt": 1}
    assert (statistics.forced, statistics.voluntary) == (0, 1)


def test_a_postponed_end_is_tried_again_soon_and_then_less_often(slices: Slices) -> None:
    waits: list[float] = []

    def stage() -> None:
        slices.use(1)
        with no_preempt():
            for _ in range(14):
                slices.tick()
                waits.append(slices.timer.armed_s)

    slices.scheduler.run(stage)
    assert waits[:4] == pytest.approx([0.0001, 0.0002, 0.0004, 0.0008], abs=1e-8)
    assert waits[-1] == 0.25


# --- signals ----------------------------------------------------------------------------------------------------------


def test_inside_of_a_c_function_it_only_asks_to_be_called_again(slices: Slices) -> None:
    """raise_signal calls the handler itself, before it returns."""

    def stage() -> None:
        slices.use(1)
        for _ in range(3):
            signal.raise_signal(SIGNAL)
            inside.append(slices.scheduler.statistics().forced)
            slices.use(0.001)

    inside: list[int] = []
    slices.scheduler.run(stage)
    assert inside[0] == 0


def calls_of_the_handler(slices: Slices, calls: str, gap_s: float) -> int:
    """Forced ends after calls of the handler with these frames, a letter for each, all inside of a C function."""

    def stage() -> int:
        slices.use(1)
        here = sys._getframe()
        frames = {"a": here, "b": here.f_back}
        with no_signals():
            for call in calls:
                slices.use(gap_s)
                slices.timer.on_tick(frames[call])
        return slices.scheduler.statistics().forced

    return slices.scheduler.run(stage)


@pytest.mark.parametrize(
    ("calls", "gap_s", "forced"),
    [
        ("bbbbbbbbb", 0, 1),  # it looks for signals again and again: re, big integers
        ("abbbbbbbbb", 0, 1),
        ("bbbbbbbb", 0, 0),
        ("bbbbbbbbbbbbbbbbbbbb", 0.001, 0),  # other signals interrupt it again and again
        ("babababababababababa", 0, 0),  # Python code runs in between: a buffer that calls its stream
    ],
)
def test_a_c_function_is_left_only_if_it_looks_for_signals_all_the_time(
    slices: Slices, calls: str, gap_s: float, forced: int
) -> None:
    assert calls_of_the_handler(slices, calls, gap_s) == forced


@contextmanager
def no_signals() -> Iterator[None]:
    """Those that the handler asks for are seen only after this."""
    before = signal.signal(SIGNAL, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(SIGNAL, before)


def test_a_handler_that_was_due_too_is_not_cut_in_two(slices: Slices, seen: list[object]) -> None:
    def handler(_number: int, _frame: object) -> None:
        seen.append("handler begins")
        seen.append("handler ends")

    def stage() -> None:
        slices.use(1)
        both_at_once(signal.SIGWINCH)
        seen.append("stage goes on")

    def other() -> None:
        seen.append("other")

    before = signal.signal(signal.SIGWINCH, handler)
    try:
        first, second = gevent.spawn(slices.scheduler.run, stage), gevent.spawn(slices.scheduler.run, other)
        gevent.joinall([first, second], raise_error=True)
    finally:
        signal.signal(signal.SIGWINCH, before)
    assert seen[:2] == ["handler begins", "handler ends"]
    assert slices.scheduler.statistics().postponed == {"signal": 1}


def both_at_once(other: signal.Signals) -> None:
    """The slice's signal and one with a higher number, found in the same look."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL, other})
    signal.raise_signal(SIGNAL)
    signal.raise_signal(other)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {SIGNAL, other})


# --- budgets ----------------------------------------------------------------------------------------------------------


def test_beyond_its_budget_a_stage_times_out_inside(slices: Slices, seen: list[object]) -> None:
    def stage() -> None:
        try:
            while True:
                slices.spend(1)
        except StageTimeout as error:
            seen.append(str(error))
            raise

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, name="greedy", cpu_budget_s=2.5)
    assert seen == ["greedy used 3.000 s of CPU time; its budget is 2.5 s"]
    assert slices.scheduler.statistics().timeouts == 1


def test_who_swallows_it_gets_it_again_and_is_reported(slices: Slices, seen: list[object]) -> None:
    def stage() -> str:
        for _ in range(5):
            try:
                slices.spend(1)
            except BaseException as error:
                seen.append(type(error))
        return "as if nothing had been"

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, cpu_budget_s=1.5)
    assert seen == [StageTimeout] * 4


def test_who_swallows_it_does_not_hold_the_hub(slices: Slices, seen: list[object]) -> None:
    def stage() -> None:
        for _ in range(3):
            try:
                slices.spend(1)
            except StageTimeout:
                seen.append("swallowed")

    def ticker() -> None:
        for _ in range(3):
            gevent.sleep(0.000001)
            seen.append("polled")

    running = gevent.spawn(slices.scheduler.run, stage, cpu_budget_s=0.5)
    gevent.joinall([gevent.spawn(ticker), running])
    assert seen == ["polled", "swallowed"] * 3
    assert isinstance(running.exception, StageTimeout)


def test_what_it_raises_instead_is_the_cause(slices: Slices) -> None:
    def stage() -> None:
        try:
            slices.spend(1)
        except StageTimeout:
            raise KeyError("instead") from None

    with pytest.raises(StageTimeout) as caught:
        slices.scheduler.run(stage, cpu_budget_s=0.5)
    assert isinstance(caught.value.__cause__, KeyError)


def test_one_c_function_that_used_more_than_the_budget_is_reported(slices: Slices) -> None:
    with pytest.raises(StageTimeout):
        slices.scheduler.run(slices.use, 3, cpu_budget_s=2)


def test_killing_it_is_not_hidden_by_its_budget(slices: Slices) -> None:
    def stage() -> None:
        slices.use(3)
        raise GreenletExit

    with pytest.raises(GreenletExit):
        slices.scheduler.run(stage, cpu_budget_s=2)


def test_time_in_line_and_asleep_costs_no_budget(slices: Slices) -> None:
    def stage() -> None:
        slices.spend(1)
        gevent.sleep(0)
        slices.spend(1)

    running = [gevent.spawn(slices.scheduler.run, stage, cpu_budget_s=2) for _ in range(4)]
    gevent.joinall(running, raise_error=True)


def test_the_budget_holds_without_preemption(slices: Slices) -> None:
    def stage() -> None:
        while True:
            slices.spend(1)

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, preempt=False, cpu_budget_s=3)


def test_the_budget_is_raised_at_checkpoints_too(slices: Slices) -> None:
    def stage() -> None:
        while True:
            slices.use(1)
            checkpoint()

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, cpu_budget_s=3)


def test_in_no_preempt_the_budget_has_a_second_s_patience(slices: Slices, seen: list[object]) -> None:
    def stage() -> None:
        with no_preempt():
            while True:
                slices.spend(0.5)
                seen.append(slices.cpu_s)

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, cpu_budget_s=2)
    assert seen == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


def test_the_budget_is_not_raised_where_it_would_be_swallowed(slices: Slices, seen: list[object]) -> None:
    class Closing:
        def __del__(self) -> None:
            slices.spend(9)
            seen.append("closed")

    def stage() -> None:
        Closing()
        slices.tick()
        seen.append("went on")

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, cpu_budget_s=1)
    assert seen == ["closed"]


def test_where_it_could_leave_something_half_done_the_budget_has_patience(slices: Slices) -> None:
    """An action of a barrier is called with its lock held."""

    def action() -> None:
        slices.spend(1.5)
        slices.spend(0.4)
        reached.append(slices.cpu_s)
        slices.spend(0.2)
        reached.append(slices.cpu_s)

    reached: list[float] = []
    with pytest.raises(StageTimeout):
        slices.scheduler.run(threading.Barrier(1, action=action).wait, cpu_budget_s=1)
    assert reached == [1.9]


def test_a_c_function_that_seldom_looks_for_signals_is_left_by_the_budget(slices: Slices) -> None:
    def stage() -> None:
        slices.use(1)
        frame = sys._getframe().f_back
        with no_signals():
            for _ in range(5):
                slices.use(0.25)
                slices.timer.on_tick(frame)
                reached.append(slices.cpu_s)

    reached: list[float] = []
    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, cpu_budget_s=1.5)
    assert reached == [1.25, 1.5]


def test_a_stage_s_own_greenlet_uses_its_budget(slices: Slices) -> None:
    def endless() -> None:
        while True:
            slices.spend(1)

    with pytest.raises(StageTimeout):
        slices.scheduler.run(lambda: greenlet(endless).switch(), cpu_budget_s=2)


def test_statistics_name_the_longest_stretch(slices: Slices) -> None:
    slices.scheduler.run(slices.use, 0.5, name="short")
    slices.scheduler.run(slices.use, 7, name="long")
    longest = slices.scheduler.statistics().longest
    assert longest is not None
    assert (longest.seconds, longest.name) == (7, "long")


def test_a_function_s_own_name_is_its_name(slices: Slices) -> None:
    slices.scheduler.run(sys.getrecursionlimit)
    assert list(slices.scheduler.statistics().cpu_s) == ["getrecursionlimit"]
    assert isinstance(slices.scheduler, Scheduler)
