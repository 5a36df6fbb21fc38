"""Workers and their cores, under real gunicorn with gunicorn.conf.py, as /proc/PID/status shows them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.policy.cpu_list import parse_cpus
from tests.support.gunicorn_service import Service, gunicorn_running, mask_of, require_two_cpus, service
from tests.support.processes import wait_until
from workers.affinity import core_order
from workers.topology import read_topology


@pytest.fixture
def cores() -> list[list[int]]:
    """The masks that two pinned workers should have."""
    require_two_cpus()
    return sorted([core] for core in core_order(read_topology())[:2])


@pytest.fixture
def two_workers(tmp_path: Path, cores: list[list[int]]) -> Iterator[Service]:
    with service(tmp_path, WORKERS="2") as running:
        running.wait_cores(cores)
        yield running


def test_each_worker_has_a_core_of_its_own_and_knows_the_wide_mask(
    two_workers: Service, cores: list[list[int]]
) -> None:
    assert two_workers.cores() == cores
    master = mask_of(two_workers.running.pid)
    assert master == sorted(os.sched_getaffinity(0))
    assert sorted(parse_cpus(two_workers.me()["wide"])) == master


def test_a_killed_workers_successor_gets_the_same_core(two_workers: Service, cores: list[list[int]]) -> None:
    for _ in range(3):
        before = two_workers.worker_pids()
        victim = max(before)
        lost = mask_of(victim)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda gone=victim: gone not in two_workers.worker_pids(), "the worker was gone")
        two_workers.wait_cores(cores)
        [successor] = two_workers.worker_pids() - before
        assert mask_of(successor) == lost


def test_a_reload_ends_with_new_workers_and_a_core_each(two_workers: Service, cores: list[list[int]]) -> None:
    for _ in range(2):
        before = two_workers.worker_pids()
        two_workers.running.signal(signal.SIGHUP)
        wait_until(lambda old=before: not old & two_workers.worker_pids(), "the old workers were gone")
        two_workers.wait_cores(cores)
        assert two_workers.me()["pid"] not in before


def test_more_workers_than_cores_double_up_and_shrink_back(tmp_path: Path, cores: list[list[int]]) -> None:
    everywhere = sorted([core] for core in core_order(read_topology()))
    with service(tmp_path, WORKERS=str(len(everywhere))) as running:
        running.wait_cores(everywhere)
        first = [core_order(read_topology())[0]]
        running.running.signal(signal.SIGTTIN)
        running.wait_cores(sorted([*everywhere, first]))
        running.running.signal(signal.SIGTTOU)
        running.wait_cores(everywhere)


def test_a_pin_that_fails_is_a_warning(tmp_path: Path) -> None:
    more = """
def pre_fork(server, worker):
    ours["pre_fork"](server, worker)
    worker.core = 100_000
"""
    with service(tmp_path, more=more) as running:
        line = running.running.wait_for_line("runs unpinned")
        assert "[WARNING]" in line
        assert "core 100000" in line
        assert mask_of(running.me()["pid"]) == sorted(os.sched_getaffinity(0))


def test_pinning_can_be_turned_off(tmp_path: Path) -> None:
    with service(tmp_path, PIN="off") as running:
        assert mask_of(running.me()["pid"]) == sorted(os.sched_getaffinity(0))


def test_gunicorns_own_options_cannot_open_it_to_the_network(tmp_path: Path) -> None:
    with gunicorn_running(tmp_path, "--bind", "0.0.0.0:0") as running:
        assert running.wait() != 0
        assert "refusing to listen on 0.0.0.0" in running.stderr
        assert "Listening at" not in running.stderr
