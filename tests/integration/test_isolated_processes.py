"""Isolated processes: real children, deadlines by a clock that stands still, and nothing left behind in /proc."""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import gevent
import pytest

from app.cpu.isolated import IsolatedChild, State
from app.cpu.processes import Processes, respawn_delay_s
from app.errors import Draining, StageCrashed, StageRaised, StageTimeout
from app.hub.per_hub import of_this_hub
from tests.support.clock import FakeClock
from tests.support.hubs import WIDE, hub_until, in_a_hub_of_its_own
from tests.support.processes import HANG_GUARD_S, ROOT, running_process, wait_until

F = "tests.support.isolated_functions:"
LONG_S = 1000.0


def state_of(pid: int) -> str:
    """As in proc(5); X when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def is_alive(pid: int) -> bool:
    """Not ended, and not a zombie either."""
    return state_of(pid) not in "ZX"


def children_of_ours() -> set[int]:
    """Processes that this thread has started and not reaped."""
    return set(map(int, Path("/proc/thread-self/children").read_text().split()))


def open_files() -> list[str]:
    """What is open, whatever its number: the loop makes its own descriptors anew now and then."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return sorted(found)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Callable[..., Processes]]:
    made = []

    def make(children: int = 1, **options: object) -> Processes:
        processes = Processes(
            children=children,
            wide_cpus=WIDE,
            clock=clock.clock,
            path=(str(ROOT), *filter(None, sys.path)),
            **options,  # type: ignore[arg-type]
        )
        made.append(processes)
        return processes

    gevent.idle()
    gc.collect()  # what the test before left in a cycle may hold a descriptor
    before, files = children_of_ours(), open_files()
    yield make
    for processes in made:
        processes.close()
    assert children_of_ours() == before
    assert open_files() == files
    assert clock.timers == 0


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Callable[[str], Gate]]:
    made = []

    def make_gate(name: str) -> Gate:
        made.append(Gate(tmp_path / name))
        return made[-1]

    yield make_gate
    for one in made:
        one.open()


class Gate:
    """A task that is held in its child until the gate is opened."""

    def __init__(self, path: Path) -> None:
        self.argument = str(path).encode()
        self._begun, self._go = Path(f"{path}.begun"), Path(f"{path}.go")

    def start(self, processes: Processes, timeout_s: float = LONG_S) -> gevent.Greenlet[..., bytes]:
        return gevent.spawn(processes.run, F + "wait_for_file", self.argument, timeout_s=timeout_s)

    def pid(self) -> int:
        """Of the child, once the task has begun there."""

        def read() -> str:
            return self._begun.read_text() if self._begun.exists() else ""

        return int(hub_until(read, "the task began"))

    def open(self) -> None:
        self._go.touch()


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


def test_many_tasks_over_few_children(make: Callable[..., Processes]) -> None:
    processes = make(2)
    arguments = [os.urandom(50_000 if number % 20 else 500_000) for number in range(200)]
    found = [gevent.spawn(processes.run, F + "echo", argument, timeout_s=LONG_S) for argument in arguments]
    gevent.idle()
    assert (processes.statistics().children, processes.statistics().waiting) == (2, 200)
    assert [greenlet.get() for greenlet in found] == arguments
    statistics = processes.statistics()
    assert (statistics.tasks, statistics.started, statistics.busy, statistics.waiting) == (200, 2, 0, 0)


def test_children_start_when_needed_and_the_last_free_one_comes_first(
    make: Callable[..., Processes], gate: Callable[[str], Gate]
) -> None:
    processes = make(4)
    assert processes.statistics().children == 0
    gates = [gate("a"), gate("b")]
    greenlets = [one.start(processes) for one in gates]
    pids = [one.pid() for one in gates]
    for one, greenlet in zip(gates, greenlets, strict=True):
        one.open()
        assert greenlet.get() == b"went on"
    assert [int(processes.run(F + "pid", b"", timeout_s=LONG_S)) for _ in range(3)] == [pids[1]] * 3
    assert processes.statistics().started == 2


def test_the_line_is_in_order_and_can_be_left(make: Callable[..., Processes], gate: Callable[[str], Gate]) -> None:
    processes = make(1)
    held = gate("held")
    first = held.start(processes)
    held.pid()
    order: list[int] = []

    def later(number: int) -> None:
        processes.run(F + "echo", b"", timeout_s=LONG_S)
        order.append(number)

    greenlets = [gevent.spawn(later, number) for number in range(5)]
    gevent.idle()
    assert (processes.statistics().waiting, processes.statistics().busy) == (5, 1)
    greenlets[2].kill()
    held.open()
    gevent.joinall([first, *greenlets])
    assert order == [0, 1, 3, 4]
    assert processes.statistics().started == 1


def test_who_is_killed_with_a_child_on_its_way_gives_it_back(
    make: Callable[..., Processes], gate: Callable[[str], Gate]
) -> None:
    processes = make(1)
    held = gate("held")
    first = held.start(processes)
    held.pid()
    chosen = gevent.spawn(processes.run, F + "echo", b"", timeout_s=LONG_S)
    behind = gevent.spawn(processes.run, F + "echo", b"x", timeout_s=LONG_S)
    gevent.idle()
    offer = processes._offer

    def offer_to_the_dead(child: object) -> None:
        if not chosen.dead:
            gevent.get_hub().loop.run_callback(chosen.throw)  # before the switch that the offer asks for
        offer(child)  # type: ignore[arg-type]

    processes._offer = offer_to_the_dead  # type: ignore[method-assign]
    held.open()
    gevent.joinall([first, chosen])
    assert isinstance(chosen.value, gevent.GreenletExit)
    assert behind.get() == b"x"
    assert processes.statistics().started == 1


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


def test_a_deadline_kills_and_replaces(
    make: Callable[..., Processes], clock: FakeClock, gate: Callable[[str], Gate]
) -> None:
    processes = make()
    held = gate("held")
    greenlet = held.start(processes, timeout_s=5.0)
    pid = held.pid()
    clock.advance(4.9)
    assert is_alive(pid)
    clock.advance(0.1)
    with pytest.raises(StageTimeout, match="5 s"):
        greenlet.get()
    hub_until(lambda: not is_alive(pid), "it was killed")
    assert int(processes.run(F + "pid", b"", timeout_s=LONG_S)) != pid
    statistics = processes.statistics()
    assert (statistics.timed_out, statistics.crashed, statistics.started) == (1, 0, 2)


def test_a_busy_loop_is_ended_at_its_deadline() -> None:
    processes = Processes(children=1, wide_cpus=WIDE)
    try:
        with pytest.raises(StageTimeout):
            processes.run(F + "spin", b"", timeout_s=0.05)
    finally:
        processes.close()


def test_an_answer_that_is_there_wins_over_the_deadline(
    make: Callable[..., Processes], gate: Callable[[str], Gate]
) -> None:
    processes = make()
    held = gate("held")
    greenlet = held.start(processes, timeout_s=5.0)
    held.pid()
    held.open()
    (child,) = processes._children
    assert select.select([child._socket], [], [], HANG_GUARD_S)[0], "the answer is there, and the hub has not turned"
    child._time_is_up()
    assert greenlet.get() == b"went on"


def test_an_answer_that_is_there_wins_over_its_childs_death(
    make: Callable[..., Processes], gate: Callable[[str], Gate]
) -> None:
    processes = make()
    held = gate("held")
    greenlet = held.start(processes)
    pid = held.pid()
    held.open()
    (child,) = processes._children
    assert select.select([child._socket], [], [], HANG_GUARD_S)[0], "the answer is there, and the hub has not turned"
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), "it died")
    child._exit._ended()
    assert greenlet.get() == b"went on"
    assert processes.statistics().crashed == 1


def test_who_is_killed_has_its_child_killed(make: Callable[..., Processes], gate: Callable[[str], Gate]) -> None:
    processes = make()
    held = gate("held")
    greenlet = held.start(processes)
    pid = held.pid()
    greenlet.kill()
    hub_until(lambda: not is_alive(pid), "it was killed")
    assert int(processes.run(F + "pid", b"", timeout_s=LONG_S)) != pid
    assert processes.statistics().crashed == 0


def test_recycled_after_its_number_of_tasks(make: Callable[..., Processes]) -> None:
    processes = make(tasks_per_child=3)
    pids = [int(processes.run(F + "pid", b"", timeout_s=LONG_S)) for _ in range(7)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
    statistics = processes.statistics()
    assert (statistics.recycled, statistics.started, statistics.crashed) == (2, 3, 0)
    hub_until(lambda: not any(map(is_alive, pids[:6])), "they left")


def test_recycled_above_its_memory(make: Callable[..., Processes]) -> None:
    processes = make(max_rss_bytes=120 << 20)
    pids = [int(processes.run(F + "grow", b"20000000", timeout_s=LONG_S)) for _ in range(12)]
    assert processes.statistics().recycled >= 1
    assert 1 < len(set(pids)) < 12


def test_a_result_has_a_limit(make: Callable[..., Processes]) -> None:
    processes = make(max_result_bytes=300_000)
    assert len(processes.run(F + "zeros", b"300000", timeout_s=LONG_S)) == 300_000
    with pytest.raises(StageRaised, match="returned 300001 bytes; the limit is 300000"):
        processes.run(F + "zeros", b"300001", timeout_s=LONG_S)


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


def test_close_ends_all_and_answers_all(make: Callable[..., Processes], gate: Callable[[str], Gate]) -> None:
    processes = make(2)
    gates = [gate("a"), gate("b")]
    greenlets = [one.start(processes) for one in gates]
    pids = [one.pid() for one in gates]
    greenlets += [gevent.spawn(processes.run, F + "echo", b"", timeout_s=LONG_S) for _ in range(3)]
    gevent.idle()
    processes.close()
    processes.close()
    assert not any(map(is_alive, pids))
    assert not children_of_ours() & set(pids), "reaped"
    for greenlet in greenlets:
        with pytest.raises(Draining):
            greenlet.get()
    with pytest.raises(Draining):
        processes.run(F + "echo", b"", timeout_s=LONG_S)
    assert (processes.statistics().children, processes.is_closed) == (0, True)


def test_the_end_of_a_hub_is_the_end_of_its_children() -> None:
    def run() -> int:
        processes = of_this_hub("isolated", lambda: Processes(children=1, wide_cpus=WIDE))
        return int(processes.run(F + "pid", b"", timeout_s=LONG_S))

    assert not is_alive(in_a_hub_of_its_own(run))


_PARENT = """
import json, os, subprocess, sys
how = sys.argv[1]
if "patched" in how:
    from gevent import monkey; monkey.patch_all()
import gevent
from app.cpu.isolated import IsolatedChild, State
from app.cpu.processes import Processes
from app.errors import StageCrashed

F = "tests.support.isolated_functions:"
processes = Processes(children=2, wide_cpus=frozenset(os.sched_getaffinity(0)))
pid = int(processes.run(F + "pid", b"", timeout_s=60))
print("pid", pid, int(processes.run(F + "leave_a_process_behind", b"", timeout_s=60)), flush=True)
if "busy" in how:
    gevent.spawn(processes.run, F + "spin", b"", timeout_s=600)
    gevent.sleep(0.05)
    print("spins", flush=True)
    gevent.sleep(600)
if "crash" in how:
    subprocess.run(["true"], check=True)
    for name in ("segfault", "hard_exit"):
        try:
            processes.run(F + name, b"5", timeout_s=60)
        except StageCrashed as error:
            print(str(error).rpartition(name)[2].strip(), flush=True)
    print(subprocess.run(["false"]).returncode, flush=True)
if "fork" in how:
    child = os.fork()
    if not child:
        sys.exit(7)  # runs what is registered for the end of a process
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(int(processes.run(F + "pid", b"", timeout_s=60)) == pid)
    child = os.fork()
    if not child:
        os._exit(int(processes.run(F + "pid", b"", timeout_s=60)) == pid)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("patching", ["plain", "patched"])
def test_the_signal_is_named_however_children_are_reaped(patching: str) -> None:
    with running_process([sys.executable, "-c", _PARENT, f"{patching} crash"]) as running:
        assert running.wait() == 0, running.stderr
        assert running.stdout.splitlines()[1:] == ["died by SIGSEGV", "exited with status 5", "1"]


@pytest.mark.parametrize("patching", ["plain", "patched"])
def test_children_end_with_a_parent_that_ends(patching: str) -> None:
    with running_process([sys.executable, "-c", _PARENT, patching]) as running:
        assert running.wait() == 0, running.stderr
        assert not is_alive(int(running.stdout.split()[1]))
        assert not is_alive(int(running.stdout.split()[2])), "what it had started"
        assert running.stderr == ""


def test_a_child_at_work_ends_with_a_parent_that_is_killed() -> None:
    with running_process([sys.executable, "-c", _PARENT, "busy"]) as running:
        running.wait_for_line("spins")
        pid, left = map(int, running.stdout.split()[1:3])
        running.signal(signal.SIGKILL)
        running.wait()
        try:
            wait_until(lambda: not is_alive(pid), "it ended too")
        finally:
            for one in (pid, left):
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)


@pytest.mark.parametrize("patching", ["plain", "patched"])
def test_a_fork_leaves_the_children_to_the_parent(patching: str) -> None:
    with running_process([sys.executable, "-c", _PARENT, f"{patching} fork"]) as running:
        assert running.wait() == 0, running.stderr
        assert running.stdout.splitlines()[1:] == ["7", "True", "0"]


@pytest.mark.parametrize("arguments", [{"children": 0}, {"tasks_per_child": 0}])
def test_numbers_out_of_range(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        Processes(**{"children": 1, **arguments}, wide_cpus=WIDE)
