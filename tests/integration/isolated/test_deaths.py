"""Children that die by themselves: at a task, on its way, at an import, before they start, idle."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from app.cpu.isolated import IsolatedChild, State
from app.cpu.processes import Processes, respawn_delay_s
from app.errors import StageCrashed
from tests.support.clock import FakeClock
from tests.support.hubs import WIDE, hub_until
from tests.support.isolated import LONG_S, F, Gate, children_of_ours
from tests.support.processes import is_alive, state_of, wait_until


@pytest.mark.parametrize(
    ("name", "argument", "how"),
    [
        ("segfault", b"", "died by SIGSEGV"),
        ("die_by_signal", b"9", "died by SIGKILL"),
        ("die_by_signal", b"34", "died by SIGRTMIN"),
        ("die_by_signal", b"40", "died by signal 40"),
        ("hard_exit", b"0", "exited with status 0"),
        ("hard_exit", b"3", "exited with status 3"),
    ],
)
def test_a_crash_is_named_and_the_rest_goes_on(
    make: Callable[..., Processes], gate: Callable[[str], Gate], name: str, argument: bytes, how: str
) -> None:
    processes = make(2)
    other = gate("other")
    unharmed = other.start(processes)
    other.pid()
    with pytest.raises(StageCrashed, match=how) as raised:
        processes.run(F + name, argument, timeout_s=LONG_S)
    assert F + name in str(raised.value)
    assert processes.run(F + "echo", b"x", timeout_s=LONG_S) == b"x"
    other.open()
    assert unharmed.get() == b"went on"
    assert processes.statistics().crashed == 1


def test_closing_all_descriptors_is_a_crash_and_gives_nothing_away(
    make: Callable[..., Processes], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    with pytest.raises(StageCrashed, match="status 70"):
        make().run(F + "close_all_and_open_others", str(file).encode(), timeout_s=LONG_S)
    assert file.read_bytes() == b""


def test_a_module_that_crashes_at_import_does_not_spin(make: Callable[..., Processes], clock: FakeClock) -> None:
    processes = make()

    def run() -> str:
        try:
            processes.run("tests.support.dies_at_import:run", b"", timeout_s=LONG_S)
        except StageCrashed as error:
            return str(error)
        return ""

    for _ in range(3):
        assert "SIGSEGV" in run()
    fourth = gevent.spawn(run)
    gevent.idle()
    assert (processes.statistics().started, processes.statistics().waiting) == (3, 1)
    clock.advance(respawn_delay_s(3))
    assert "SIGSEGV" in fourth.get()
    good = gevent.spawn(processes.run, F + "echo", b"x", timeout_s=LONG_S)
    gevent.idle()
    clock.advance(respawn_delay_s(4))
    assert good.get() == b"x"
    for _ in range(3):  # an answer makes up for all deaths before it
        assert "SIGSEGV" in run()


def test_how_long_the_next_start_waits() -> None:
    assert [respawn_delay_s(deaths) for deaths in (0, 1, 2, 3, 4, 5)] == [0.0, 0.0, 0.0, 0.1, 0.2, 0.4]
    assert respawn_delay_s(10_000) == 10.0


def test_children_that_do_not_start_fail_who_waits(clock: FakeClock) -> None:
    processes = Processes(children=1, wide_cpus=WIDE, path=("/nowhere",), clock=clock.clock)
    greenlets = [gevent.spawn(processes.run, F + "echo", b"", timeout_s=LONG_S) for _ in range(4)]
    for deaths, greenlet in enumerate(greenlets, start=1):
        hub_until(lambda greenlet=greenlet: greenlet.dead, "it had its answer")
        assert processes.statistics().started == processes.statistics().crashed == deaths or deaths < 3
        clock.advance(respawn_delay_s(deaths))
    for greenlet in greenlets:
        with pytest.raises(StageCrashed, match="did not start: it exited with status 1"):
            greenlet.get()
    processes.close()


def test_one_that_takes_too_long_to_start_is_killed(make: Callable[..., Processes], clock: FakeClock) -> None:
    processes = make(start_timeout_s=20.0)
    before = children_of_ours()
    greenlet = gevent.spawn(processes.run, F + "echo", b"", timeout_s=LONG_S)
    gevent.idle()
    (pid,) = children_of_ours() - before
    os.kill(pid, signal.SIGSTOP)
    clock.advance(20.0)
    with pytest.raises(StageCrashed, match="did not start within 20 s"):
        greenlet.get()


def test_an_idle_child_that_dies_harms_nobody(make: Callable[..., Processes]) -> None:
    processes = make()
    pid = int(processes.run(F + "pid", b"", timeout_s=LONG_S))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), "it died")  # and the hub does not know
    assert int(processes.run(F + "pid", b"", timeout_s=LONG_S)) != pid
    hub_until(lambda: processes.statistics().crashed == 1, "it was counted")


def test_a_large_argument_whose_child_dies_meanwhile_goes_to_another(make: Callable[..., Processes]) -> None:
    processes = make()
    pid = int(processes.run(F + "pid", b"", timeout_s=LONG_S))
    argument = os.urandom(20_000_000)
    greenlet = gevent.spawn(processes.run, F + "echo", argument, timeout_s=LONG_S)
    gevent.spawn(os.kill, pid, signal.SIGKILL)
    assert greenlet.get() == argument


@pytest.mark.parametrize("deaths", [1, 2, 3])
def test_a_task_that_no_child_has_read_goes_to_another(
    make: Callable[..., Processes], clock: FakeClock, deaths: int
) -> None:
    processes = make()
    left = deaths

    def stop(child: IsolatedChild) -> None:
        os.kill(child.pid, signal.SIGSTOP)
        wait_until(lambda: state_of(child.pid) == "T", "it stopped")

    offer = processes._offer

    def stop_and_offer(child: IsolatedChild) -> None:
        nonlocal left
        if left:
            left -= 1
            stop(child)
            gevent.spawn(kill_when_it_has_mail, child)
        offer(child)

    def kill_when_it_has_mail(child: IsolatedChild) -> None:
        hub_until(lambda: child.state is State.BUSY, "the task was sent")
        os.kill(child.pid, signal.SIGKILL)

    processes._offer = stop_and_offer  # type: ignore[method-assign]
    greenlet = gevent.spawn(processes.run, F + "echo", b"x", timeout_s=LONG_S)

    def is_over() -> bool:
        clock.advance(0.01)
        return greenlet.dead

    hub_until(is_over, "it had its answer")
    if deaths < 3:
        assert greenlet.get() == b"x"
    else:
        with pytest.raises(StageCrashed, match="3 isolated processes in turn"):
            greenlet.get()
    assert processes.statistics().started == min(deaths + 1, 3)
