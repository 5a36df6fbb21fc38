"""Who gets a child: the line, who leaves it, and children that are replaced in order."""

from __future__ import annotations

import os
from collections.abc import Callable

import gevent
import pytest

from app.cpu.processes import Processes
from app.errors import StageRaised
from tests.support.hubs import hub_until
from tests.support.isolated import LONG_S, F, Gate
from tests.support.processes import is_alive


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


def test_recycled_after_its_number_of_tasks(make: Callable[..., Processes]) -> None:
    processes = make(tasks_per_child=3)
    pids = [int(processes.run(F + "pid", b"", timeout_s=LONG_S)) for _ in range(7)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
    statistics = processes.statistics()
    assert (statistics.recycled, statistics.started, statistics.crashed) == (2, 3, 0)
    hub_until(lambda: not any(map(is_alive, pids[:6])), "they left")


def test_replaced_when_a_function_calls_it_unfit(make: Callable[..., Processes]) -> None:
    processes = make()
    first = processes.run(F + "pid", b"", timeout_s=LONG_S)
    for _ in range(2):
        with pytest.raises(StageRaised, match=r"^WrongOne: \d+$") as raised:
            processes.run(F + "unfit", b"", timeout_s=LONG_S)
        assert str(raised.value).endswith(f" {first.decode()}")
        second = processes.run(F + "pid", b"", timeout_s=LONG_S)
        assert second != first
        first = second
    statistics = processes.statistics()
    assert (statistics.started, statistics.recycled, statistics.crashed, statistics.tasks) == (3, 2, 0, 5)


def test_recycled_above_its_memory(make: Callable[..., Processes]) -> None:
    processes = make(max_rss_bytes=120 << 20)
    pids = [int(processes.run(F + "grow", b"20000000", timeout_s=LONG_S)) for _ in range(12)]
    assert processes.statistics().recycled >= 1
    assert 1 < len(set(pids)) < 12
