"""Children whose deadlines go by a clock that stands still, and nothing left behind in /proc."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from app.cpu.processes import Processes
from tests.support.clock import FakeClock
from tests.support.hubs import WIDE
from tests.support.isolated import Gate, children_of_ours, open_files
from tests.support.processes import ROOT


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
