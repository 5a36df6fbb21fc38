"""Look-ups: one for everybody who asks, in threads of their own, kept for their time."""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Callable, Sequence

import gevent
import pytest

from app.fetching.names import Names
from tests.support.hubs import in_a_hub_of_its_own
from tests.support.processes import HANG_GUARD_S
from tests.support.resolver import Clock, Resolver, asking, failure_of, results, until_idle


def test_many_that_ask_for_one_name_at_once_cause_one_look_up(names: Names, resolver: Resolver) -> None:
    resolver.answers["a.example"] = ["2001:db8::1", "192.0.2.1", "2001:db8::1"]
    gate = resolver.gate("a.example")
    greenlets = asking(names, *["a.example"] * 50, *["A.Example"] * 50)
    during = names.statistics()
    assert (during.pending, during.running, during.waiting, during.misses) == (1, 1, 100, 100)
    gate.set()
    assert set(results(greenlets)) == {("2001:db8::1", "192.0.2.1")}
    assert resolver.asked == ["a.example"]
    after = names.statistics()
    assert (after.pending, after.running, after.waiting, after.look_ups, after.failures) == (0, 0, 0, 1, 0)


def test_who_leaves_disturbs_neither_the_others_nor_the_look_up(names: Names, resolver: Resolver) -> None:
    gate = resolver.gate("a.example")
    killed, stays = asking(names, "a.example", "a.example")

    def impatient() -> str:
        with gevent.Timeout(0.001, False):
            names.resolve("a.example")
        return "left"

    assert gevent.spawn(impatient).get(timeout=HANG_GUARD_S) == "left"
    killed.kill()
    assert names.statistics().waiting == 1
    gate.set()
    assert results([stays]) == [("192.0.2.1",)]
    assert resolver.asked == ["a.example"]


def test_a_look_up_is_kept_when_everybody_has_left(names: Names, resolver: Resolver) -> None:
    gate = resolver.gate("a.example")
    gevent.killall(asking(names, "a.example", "a.example"))
    assert (names.statistics().waiting, names.statistics().running) == (0, 1)
    gate.set()
    until_idle(names)
    assert names.resolve("a.example") == ("192.0.2.1",)
    assert resolver.asked == ["a.example"]
    assert names.statistics().hits == 1


def test_a_failure_reaches_everybody_as_an_exception_of_their_own(names: Names, resolver: Resolver) -> None:
    resolver.answers["a.example"] = socket.gaierror(socket.EAI_AGAIN, "Temporary failure")
    gate = resolver.gate("a.example")
    greenlets = asking(names, *["a.example"] * 3)
    gate.set()
    errors = [failure_of(lambda one=one: one.get(timeout=HANG_GUARD_S)) for one in greenlets]
    assert len({id(error) for error in errors}) == 3
    assert {str(error) for error in errors} == {"a.example: Temporary failure"}


def test_names_wait_in_turn_when_all_threads_are_blocked(
    make_names: Callable[[int], Names], resolver: Resolver
) -> None:
    names = make_names(2)
    assert names.resolve("known.example")
    gates = [resolver.gate("x.example"), resolver.gate("y.example")]
    blocked = asking(names, "x.example", "y.example")
    queued = asking(names, "1.example", "2.example", "3.example", "2.example")
    during = names.statistics()
    assert (during.pending, during.running, during.waiting) == (5, 2, 6)
    assert names.resolve("known.example") == ("192.0.2.1",)
    assert names.resolve("192.0.2.7") == ("192.0.2.7",)
    gates[0].set()
    results(queued)
    assert resolver.asked[3:] == ["1.example", "2.example", "3.example"]
    gates[1].set()
    results(blocked)
    assert len(resolver.thread_ids) <= 2


def test_a_queued_look_up_that_nobody_waits_for_is_forgotten(
    make_names: Callable[[int], Names], resolver: Resolver
) -> None:
    names = make_names(1)
    gate = resolver.gate("x.example")
    blocked = asking(names, "x.example")
    leaving = asking(names, "1.example", "2.example", "2.example")
    gevent.killall(leaving[:2])
    assert names.statistics().pending == 2
    gate.set()
    results([*blocked, leaving[2]])
    until_idle(names)
    assert resolver.asked == ["x.example", "2.example"]


def test_neither_keeps_the_hubs_own_threads_waiting_nor_waits_for_them(
    make_names: Callable[[int], Names], resolver: Resolver
) -> None:
    names = make_names(1)
    gate = resolver.gate("x.example")
    asking(names, "x.example")
    pool = gevent.get_hub().threadpool
    with gevent.Timeout(HANG_GUARD_S):
        assert pool.apply(int, ("7",)) == 7
    gate.set()
    until_idle(names)
    held = threading.Event()
    tasks = [pool.spawn(held.wait, HANG_GUARD_S) for _ in range(pool.maxsize)]
    try:
        with gevent.Timeout(HANG_GUARD_S):
            assert names.resolve("y.example") == ("192.0.2.1",)
    finally:
        held.set()
        gevent.joinall(tasks)


def test_its_threads_take_no_signals(clock: Clock) -> None:
    masks: list[set[int]] = []

    def look_up(name: str) -> list[str]:
        masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        return ["192.0.2.1"]

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    names = Names(threads=1, look_up=look_up, clock_s=clock)
    names.resolve("a.example")
    names.close()
    assert masks[0] >= {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGALRM, signal.SIGUSR1}
    assert not masks[0] & {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_another_threads_hub_is_turned_away(names: Names) -> None:
    with pytest.raises(RuntimeError, match="another thread's hub"):
        in_a_hub_of_its_own(lambda: names.resolve("a.example"))
    assert names.resolve("a.example") == ("192.0.2.1",)


def test_addresses_are_kept_for_their_time(names: Names, resolver: Resolver, clock: Clock) -> None:
    names.resolve("a.example")
    resolver.answers["a.example"] = ["192.0.2.2"]
    clock.now_s += 59.9
    assert names.resolve("a.example") == ("192.0.2.1",)
    clock.now_s += 0.1
    assert names.resolve("a.example") == ("192.0.2.2",)
    assert resolver.asked == ["a.example"] * 2
    statistics = names.statistics()
    assert (statistics.hits, statistics.misses, statistics.cached) == (1, 2, 1)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), True),
        (socket.gaierror(socket.EAI_NODATA, "No address associated with hostname"), True),
        (socket.gaierror(socket.EAI_ADDRFAMILY, "Address family for hostname not supported"), True),
        ([], True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), False),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"), False),
        (socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure"), False),
        (OSError(24, "Too many open files"), False),
        # An errno that is the same number as a code of the resolver's is not that code.
        (OSError(socket.EAI_NONAME, "some errno"), False),
    ],
)
def test_only_a_definite_no_is_kept(
    names: Names, resolver: Resolver, clock: Clock, answer: Sequence[str] | OSError, kept: bool
) -> None:
    resolver.answers["a.example"] = answer
    reasons = {str(failure_of(lambda: names.resolve("a.example"))) for _ in range(2)}
    assert len(reasons) == 1
    assert len(resolver.asked) == (1 if kept else 2)
    statistics = names.statistics()
    assert (statistics.negative_hits, statistics.cached) == (int(kept), int(kept))
    assert statistics.failures == statistics.look_ups == len(resolver.asked)
    resolver.answers["a.example"] = ["192.0.2.9"]
    clock.now_s += 5.0
    assert names.resolve("a.example") == ("192.0.2.9",)


@pytest.mark.parametrize(
    ("answer", "is_local"),
    [
        (OSError(errno.EMFILE, "Too many open files"), True),
        (OSError(errno.ENFILE, "Too many open files in system"), True),
        (socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), False),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False),
        ([], False),
    ],
)
def test_what_is_lacking_here_is_told_from_what_is_said_of_the_name(
    names: Names, resolver: Resolver, answer: Sequence[str] | OSError, is_local: bool
) -> None:
    resolver.answers["a.example"] = answer
    for _ in range(2):
        assert failure_of(lambda: names.resolve("a.example")).is_local is is_local


def test_a_look_up_that_breaks_its_word_is_a_defect_that_leaves_no_trace(names: Names, resolver: Resolver) -> None:
    resolver.answers["a.example"] = KeyError("a defect")
    gate = resolver.gate("a.example")
    greenlets = asking(names, "a.example", "a.example")
    gate.set()
    for greenlet in greenlets:
        with pytest.raises(RuntimeError, match=r"look-up of a\.example broke: KeyError\('a defect'\)") as raised:
            greenlet.get(timeout=HANG_GUARD_S)
        assert isinstance(raised.value.__cause__, KeyError)
    del resolver.answers["a.example"]
    assert names.resolve("a.example") == ("192.0.2.1",)


def test_the_slowest_look_up_is_told(clock: Clock) -> None:
    def look_up(name: str) -> list[str]:
        clock.now_s += float(name.partition(".")[0])
        return ["192.0.2.1"]

    names = Names(look_up=look_up, clock_s=clock)
    assert names.statistics().slowest_s == 0.0
    for host in ("3.example", "12.example", "7.example"):
        names.resolve(host)
    names.close()
    assert names.statistics().slowest_s == 12.0
