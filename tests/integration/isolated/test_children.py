"""What a child is: a process of its own, that functions and signals find as promised."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from app.cpu.processes import Processes
from app.errors import StageRaised
from tests.support.hubs import WIDE, hub_until, in_a_hub_of_its_own
from tests.support.isolated import LONG_S, F, Gate
from tests.support.processes import ROOT, is_alive, wait_until


@pytest.fixture
def parent_of_bad_habits() -> Iterator[None]:
    """A descriptor that programs inherit, a signal blocked and another ignored."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    handler = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGUSR2, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(reading)
    os.close(writing)


@pytest.mark.usefixtures("parent_of_bad_habits")
def test_what_a_child_is(make: Callable[..., Processes]) -> None:
    found = json.loads(make().run(F + "about", b"", timeout_s=LONG_S))
    assert found["patched"] is False
    assert found["ppid"] == os.getpid()
    assert found["group"] == found["pid"]
    assert found["cpus"] == sorted(WIDE)
    assert found["descriptors"] == [0, 1, 2, 3, 4]  # 4 lists the folder
    assert found["stdin"] == os.devnull
    assert found["same_output"] is True
    assert (found["blocked"], found["ignored"]) == ([], [])
    assert found["path"] == [str(ROOT), *filter(None, sys.path)]


def test_children_of_a_pinned_worker_are_wide() -> None:
    def run() -> list[int]:
        processes = Processes(children=1, wide_cpus=WIDE)
        try:
            cpus: list[int] = json.loads(processes.run(F + "about", b"", timeout_s=LONG_S))["cpus"]
            return cpus
        finally:
            processes.close()

    assert in_a_hub_of_its_own(run, pinned=True) == sorted(WIDE)


@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, 5_000_000])
def test_bytes_come_through_both_ways(make: Callable[..., Processes], size: int) -> None:
    argument = os.urandom(size)
    processes = make()
    for _ in range(3):
        found = processes.run(F + "echo", argument, timeout_s=LONG_S)
        assert type(found) is bytes
        assert found == argument
    kind = "bytes" if size <= 262_144 else "memoryview"
    assert processes.run(F + "kind_and_size", argument, timeout_s=LONG_S) == f"{kind} {size}".encode()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (F + "raise_error", "ValueError: no x"),
        (F + "raise_unspeakable", "Unspeakable: (its text can't be had: RuntimeError)"),
        (F + "raise_surrogate", "ValueError: half a pair: \\ud800"),
        (F + "system_exit", "SystemExit: enough"),
        (F + "return_text", f"TypeError: {F}return_text returned str, not bytes"),
        (F + "absent", "AttributeError: module 'tests.support.isolated_functions' has no attribute 'absent'"),
        (F + "Unspeakable.__doc__", "TypeError: tests.support.isolated_functions:Unspeakable.__doc__ can't be called"),
        ("tests.absent:f", "ModuleNotFoundError: No module named 'tests.absent'"),
    ],
)
def test_what_is_raised_comes_with_its_traceback(make: Callable[..., Processes], reference: str, message: str) -> None:
    processes = make()
    with pytest.raises(StageRaised) as raised:
        processes.run(reference, b"x", timeout_s=LONG_S)
    assert str(raised.value) == message
    assert "Traceback" in raised.value.remote_traceback
    raised.value.remote_traceback.encode()
    assert processes.run(F + "echo", b"x", timeout_s=LONG_S) == b"x"
    statistics = processes.statistics()
    assert (statistics.started, statistics.tasks, statistics.crashed) == (1, 2, 0)


@pytest.mark.parametrize("reference", ["", "module", ":f", "module:", "__main__:f"])
def test_what_is_no_reference(make: Callable[..., Processes], reference: str) -> None:
    processes = make()
    with pytest.raises(ValueError):
        processes.run(reference, b"", timeout_s=LONG_S)
    assert processes.statistics().started == 0


def test_a_result_has_a_limit(make: Callable[..., Processes]) -> None:
    processes = make(max_result_bytes=300_000)
    assert len(processes.run(F + "zeros", b"300000", timeout_s=LONG_S)) == 300_000
    with pytest.raises(StageRaised, match="returned 300001 bytes; the limit is 300000"):
        processes.run(F + "zeros", b"300001", timeout_s=LONG_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_all_are_the_parents_to_answer(
    make: Callable[..., Processes], gate: Callable[[str], Gate], number: signal.Signals
) -> None:
    processes = make()
    held = gate("held")
    greenlet = held.start(processes)
    os.kill(held.pid(), number)
    held.open()
    assert greenlet.get() == b"went on"
    assert processes.run(F + "start_and_end_a_program", b"", timeout_s=LONG_S) == b"-15"


def test_a_copy_that_a_function_forked_gives_no_answer(make: Callable[..., Processes]) -> None:
    processes = make()
    pids = {int(processes.run(F + "fork", b"", timeout_s=LONG_S)) for _ in range(3)}
    assert pids == {int(processes.run(F + "pid", b"", timeout_s=LONG_S))}


def test_what_a_function_left_behind_ends_with_its_child(make: Callable[..., Processes]) -> None:
    processes = make(tasks_per_child=2)
    left = [int(processes.run(F + "leave_a_process_behind", b"", timeout_s=LONG_S)) for _ in range(2)]
    hub_until(lambda: not any(map(is_alive, left)), "they were ended")
    left = [int(processes.run(F + "leave_a_process_behind", b"", timeout_s=LONG_S))]
    processes.close()
    wait_until(lambda: not any(map(is_alive, left)), "they were ended")


def test_what_is_printed_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    processes = Processes(children=1, wide_cpus=WIDE, path=(str(ROOT), *filter(None, sys.path)))
    assert processes.run(F + "print_much", b"here", timeout_s=LONG_S) == b"said"
    processes.close()
    found = capfd.readouterr()
    assert (found.out, "printed here\n" in found.err) == ("", True)


@pytest.mark.parametrize("arguments", [{"children": 0}, {"tasks_per_child": 0}])
def test_numbers_out_of_range(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        Processes(**{"children": 1, **arguments}, wide_cpus=WIDE)
