"""ctrl-Z: a whole batch stands still, and goes on where it was. In the background it does not stand still."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.integration.test_batch_phases import SHARE, Job
from tests.support.batch import COMMAND, children_of, records, write_list
from tests.support.origin import Origin
from tests.support.processes import session_pids, state_of, wait_until
from tests.support.terminal import Terminal, behind_a_shell, running_on_terminal, under_a_shell


def batch_of(terminal: Terminal) -> list[int]:
    """Its processes, the parent first."""
    (parent,) = children_of(terminal.process.pid)
    others = set(session_pids(terminal.process.pid)) - {parent, terminal.process.pid}
    return [parent, *others]


def type_ctrl_z(terminal: Terminal, processes: list[int]) -> None:
    terminal.type(b"\x1a")
    wait_until(lambda: {state_of(pid) for pid in processes} == {"T"}, "all of them stand still")


def test_all_of_it_stands_still_and_goes_on(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url(f"/gate/held?{n}") for n in range(8)])
    command = [*COMMAND, source, "-o", tmp_path / "out.jsonl", "--workers", "2", "--shard-size", "4"]
    with running_on_terminal(under_a_shell(command)) as terminal:
        origin.wait_waiting("held", n=8)
        terminal.wait_for("of 8 done")
        processes = batch_of(terminal)
        assert len(processes) == 3
        type_ctrl_z(terminal, processes)
        wait_until(lambda: "of 8 done" not in terminal.text, "the screen is the shell's")
        os.kill(processes[0], signal.SIGCONT)
        terminal.wait_for("of 8 done")
        wait_until(lambda: "T" not in map(state_of, processes), "all of them go on")
        # Once more: it is not a thing that works once.
        type_ctrl_z(terminal, processes)
        os.kill(processes[0], signal.SIGCONT)
        origin.open("held")
        assert terminal.wait() == 0
    assert [record["attempts"] for record in records(tmp_path / "out.jsonl")] == [1] * 8


def test_ctrl_c_while_it_stands_still_is_answered_once_it_goes_on(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/gate/held")])
    command = [*COMMAND, source, "-o", tmp_path / "out.jsonl", "--workers", "1", "--drain-timeout", "3600"]
    with running_on_terminal(under_a_shell(command)) as terminal:
        origin.wait_waiting("held")
        processes = batch_of(terminal)
        type_ctrl_z(terminal, processes)
        os.kill(processes[0], signal.SIGINT)
        os.kill(processes[0], signal.SIGCONT)
        terminal.wait_for("draining")
        os.kill(processes[0], signal.SIGINT)
        assert terminal.wait() == 130


def test_in_the_background_it_works_on_and_says_how_it_ended(origin: Origin, tmp_path: Path) -> None:
    """Where the terminal stops who writes there; its children, too, which never have it."""
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok")])
    command = [*COMMAND, source, "-o", tmp_path / "out.jsonl", "--workers", "1", "--stage", "tests.support.stages:says"]
    with running_on_terminal(behind_a_shell(command)) as terminal:
        assert terminal.wait() == 0
        assert "written to" in terminal.text
        assert "said by a stage" in terminal.text


def test_pictures_wait_until_it_has_the_terminal(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/gate/held")])
    command = [*COMMAND, source, "-o", tmp_path / "out.jsonl", "--workers", "1"]
    with running_on_terminal(behind_a_shell(command)) as terminal:
        origin.wait_waiting("held")
        assert "of 1 done" not in terminal.text
        terminal.process.send_signal(signal.SIGUSR1)
        terminal.wait_for("of 1 done")
        origin.open("held")
        assert terminal.wait() == 0


def test_also_while_outputs_are_put_together(origin: Origin, tmp_path: Path) -> None:
    job = Job(origin, tmp_path, "out.jsonl")
    held = job.fetched()
    with running_on_terminal(under_a_shell([*COMMAND, *job.arguments])) as terminal:
        terminal.wait_for(f"{SHARE}  assembling {job.output}")
        processes = batch_of(terminal)
        type_ctrl_z(terminal, processes)
        os.kill(processes[0], signal.SIGCONT)
        wait_until(lambda: "T" not in map(state_of, processes), "it goes on")
        held.let_go()
        assert terminal.wait() == 1
