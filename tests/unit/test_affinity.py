"""Which core for which worker: on recorded machines, and laws that hold on any machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_topology import recorded
from workers.affinity import choose_core, core_order, pin, should_pin, worker_count
from workers.topology import Cpu, Topology


@pytest.mark.parametrize(
    ("name", "order", "workers"),
    [
        ("one-core", (0,), 1),
        ("two-cores-hybrid-cgroups", (0, 1), 2),
        ("eight-cores-sixteen-threads", tuple(range(16)), 16),
        ("two-numa-nodes", (0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15), 16),
        ("two-packages-ids-only", (0, 2, 4, 6, 1, 3, 5, 7), 8),
        ("cpuset-3-5-7", (3, 5, 7), 3),
        ("quota-1.5-in-a-parent", (0, 1, 2, 3), 1),
        ("quota-2.5-v1-container", (0, 1, 2, 3), 2),
        ("quota-0.5-outside-the-namespace", (0, 1, 2, 3), 1),
    ],
)
def test_a_recorded_machine(name: str, order: tuple[int, ...], workers: int, tmp_path: Path) -> None:
    topology = recorded(name, tmp_path)
    assert core_order(topology) == order
    assert worker_count(topology) == workers


def machine(*, allowed: int = 4, quota_cpus: float | None = None) -> Topology:
    return Topology(tuple(Cpu(n, n, 0) for n in range(allowed)), frozenset(range(allowed)), quota_cpus)


@pytest.mark.parametrize(
    ("mode", "quota_cpus", "expected"),
    [
        ("auto", None, True),
        ("auto", 4.0, True),
        ("auto", 9.0, True),
        ("auto", 3.9, False),
        ("on", 0.5, True),
        ("off", None, False),
    ],
)
def test_when_to_pin(mode: Literal["auto", "on", "off"], quota_cpus: float | None, expected: bool) -> None:
    assert should_pin(mode, machine(quota_cpus=quota_cpus)) is expected


@pytest.mark.parametrize(("quota_cpus", "expected"), [(None, 4), (0.1, 1), (1.99, 1), (2.0, 2), (3.5, 3), (64.0, 4)])
def test_how_many_workers(quota_cpus: float | None, expected: int) -> None:
    assert worker_count(machine(quota_cpus=quota_cpus)) == expected


@pytest.mark.parametrize(
    ("in_use", "expected"),
    [
        ([], 4),
        ([4], 0),
        ([4, 0], 5),
        ([4, 0, 5], 4),  # all in use: double up from the start
        ([4, 0, 5, 4], 0),
        ([0, 5, 0], 4),  # the freed core first, wherever others have doubled up
        ([None, None], 4),  # unpinned workers use no core
        ([99, 4], 0),  # a core that has left the mask
    ],
)
def test_the_least_used_core_is_chosen(in_use: list[int | None], expected: int) -> None:
    assert choose_core((4, 0, 5), in_use) == expected


def test_a_pin_that_fails_says_why() -> None:
    assert pin(os.getpid(), 1_000_000)


# Laws ------------------------------------------------------------------------------------------------------


@st.composite
def machines(draw: st.DrawFn) -> Topology:
    """Machines with any numbering: cores of 1 to 4 hardware threads, spread over 1 to 4 nodes."""
    widths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=12))
    numbers = draw(st.permutations(range(sum(widths))))
    cpus, taken = [], 0
    for width in widths:
        threads = sorted(numbers[taken : taken + width])
        taken += width
        node = draw(st.integers(0, 3))
        cpus.extend(Cpu(number, threads[0], node) for number in threads)
    allowed = draw(st.frozensets(st.sampled_from(sorted(numbers)), min_size=1))
    quota_cpus = draw(st.none() | st.floats(0.01, 64))
    return Topology(tuple(sorted(cpus, key=lambda cpu: cpu.number)), allowed, quota_cpus)


@given(machines())
def test_the_order_holds_each_allowed_cpu_once(topology: Topology) -> None:
    order = core_order(topology)
    assert sorted(order) == sorted(topology.allowed)


@given(machines())
def test_whole_cores_come_before_siblings(topology: Topology) -> None:
    core_of = {cpu.number: cpu.core for cpu in topology.cpus}
    cores = [core_of[number] for number in core_order(topology)]
    whole = len(set(cores))
    assert len(set(cores[:whole])) == whole


@given(machines())
def test_nodes_take_turns_among_whole_cores(topology: Topology) -> None:
    by_number = {cpu.number: cpu for cpu in topology.cpus}
    order = core_order(topology)
    whole = order[: len({by_number[number].core for number in order})]
    left = [by_number[number].node for number in whole]
    while left:
        turn = left[: len(set(left))]
        assert len(set(turn)) == len(turn)
        left = left[len(turn) :]


@given(machines())
def test_there_is_always_a_worker_and_never_more_than_cpus(topology: Topology) -> None:
    assert 1 <= worker_count(topology) <= len(topology.allowed)
    if topology.quota_cpus is not None:
        assert worker_count(topology) <= max(1.0, topology.quota_cpus)


@given(st.data(), st.integers(1, 8), st.integers(1, 24))
def test_whoever_dies_the_next_takes_the_place(data: st.DataObject, cores: int, workers: int) -> None:
    order = tuple(range(cores))
    alive: list[int] = []
    for _ in range(workers):
        alive.append(choose_core(order, alive))
    before = sorted(alive)
    assert max(map(before.count, order)) - min(map(before.count, order)) <= 1
    dead = alive.pop(data.draw(st.integers(0, workers - 1)))
    replaced = choose_core(order, alive)
    if workers <= cores:
        assert replaced == min(set(order) - set(alive))
    counts = [[*alive, replaced].count(core) for core in order]
    assert max(counts) - min(counts) <= 1
    if workers % cores == 0:
        assert replaced == dead
