"""The black box of a real child that can't run Python: where it is stuck is written down all the same."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Running, running_process, wait_until
from workers.black_box import STACK_SIGNAL, BlackBox

# sum() over a range never looks for signals and never gives the GIL up.
CHILD = """
import sys
from workers.black_box import BlackBox

def stuck_in_native_code():
    print("stuck", flush=True)
    sum(range(10**12))

def other_place():
    print("here", flush=True)
    sys.stdin.read(1)

box = BlackBox(int(sys.argv[1]))
box.write_stacks()
box.take(41, 2)
for step in sys.argv[2:]:
    globals()[step]()
"""


@pytest.fixture
def box() -> Iterator[BlackBox]:
    made = BlackBox()
    yield made
    made.close()


@contextmanager
def child(box: BlackBox, folder: Path, *steps: str) -> Iterator[Running]:
    program = folder / "stuck.py"
    program.write_text(CHILD)
    command = [sys.executable, program, str(box.descriptor), *steps]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with running_process(command, env=env, pass_fds=[box.descriptor], stdin=-1, term_grace_s=0) as running:
        yield running


def ask(box: BlackBox, running: Running) -> str:
    box.forget_stacks()
    running.signal(STACK_SIGNAL)
    return wait_until(box.innermost_frame, "an answer")


def test_a_child_that_holds_the_gil_says_where(box: BlackBox, tmp_path: Path) -> None:
    with child(box, tmp_path, "stuck_in_native_code") as running:
        running.wait_for_line("stuck")
        assert box.innermost_frame() == ""
        place = f"stuck_in_native_code ({tmp_path / 'stuck.py'}:7)"
        wait_until(lambda: ask(box, running) == place, "it is where it stays")
        assert box.read() == [(41, 2)]
        assert running.returncode is None
    assert box.innermost_frame() != ""  # it outlives the child
    assert box.read() == [(41, 2)]


def test_an_earlier_answer_is_not_taken_for_a_later_one(box: BlackBox, tmp_path: Path) -> None:
    with child(box, tmp_path, "other_place", "stuck_in_native_code") as running:
        running.wait_for_line("here")
        assert ask(box, running).startswith("other_place ")
        box.forget_stacks()
        assert box.innermost_frame() == ""
        running.stdin.write(b"x")
        running.stdin.flush()
        running.wait_for_line("stuck")
        for _ in range(3):
            assert ask(box, running).startswith("stuck_in_native_code ")


def test_answers_do_not_pile_up(box: BlackBox, tmp_path: Path) -> None:
    with child(box, tmp_path, "stuck_in_native_code") as running:
        running.wait_for_line("stuck")
        sizes = set()
        for _ in range(20):
            ask(box, running)
            # Its last line, so that the answer is whole.
            wait_until(lambda: b"<module>" in os.pread(box.descriptor, 1 << 16, NOTES_BYTES), "all of it")
            sizes.add(os.fstat(box.descriptor).st_size)
        assert len(sizes) == 1


NOTES_BYTES = os.fstat(BlackBox().descriptor).st_size


def test_one_that_was_never_asked_has_said_nothing(box: BlackBox) -> None:
    assert box.innermost_frame() == ""
    box.write_stacks()
    os.kill(os.getpid(), STACK_SIGNAL)
    assert box.innermost_frame().startswith("test_one_that_was_never_asked_has_said_nothing ")
