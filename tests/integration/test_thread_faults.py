"""Faults in native threads of ours end the process, and faulthandler says where, though signals are blocked there."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.support.processes import ROOT, running_process

LOOKS_UP = """
from app.fetching.names import Names
Names(threads=1, look_up=faults).resolve("a.example")
"""

RUNS = """
import os
from app.cpu.threads import NativeThreads
NativeThreads(threads=1, wide_cpus=frozenset(os.sched_getaffinity(0)), queue=0).run(faults, 0)
"""

FAULTS = """
import ctypes, faulthandler, os, signal
faulthandler.enable()

def faults(_):
    {how}
"""


@pytest.mark.parametrize("uses", [LOOKS_UP, RUNS], ids=["names", "native threads"])
@pytest.mark.parametrize(
    ("how", "number", "said"),
    [
        ("ctypes.string_at(0)", signal.SIGSEGV, "Segmentation fault"),
        ("os.abort()", signal.SIGABRT, "Aborted"),
        ("signal.pthread_kill(__import__('threading').get_ident(), signal.SIGBUS)", signal.SIGBUS, "Bus error"),
    ],
)
def test_a_fault_is_told_of(uses: str, how: str, number: int, said: str) -> None:
    with running_process([sys.executable, "-c", FAULTS.format(how=how) + uses], cwd=ROOT) as process:
        assert process.wait() == -number
        assert f"Fatal Python error: {said}" in process.stderr
        assert "in faults" in process.stderr
