"""A batch whose standard error nobody reads: it works, obeys and ends all the same."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.batch import COMMAND, children_of, records, run_batch, write_list
from tests.support.origin import Origin
from tests.support.processes import HANG_GUARD_S, ROOT, session_pids, wait_until

URLS = 12
UNREAD = pytest.mark.parametrize("kind", ["terminal", "pipe"])
PROGRESS = {"terminal": "auto", "pipe": "json"}


@contextmanager
def unread(kind: str) -> Iterator[int]:
    """A descriptor to write to, where nothing fits any more."""
    reader, writer = pty.openpty() if kind == "terminal" else os.pipe()
    try:
        if kind == "pipe":
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 64)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x")
        os.set_blocking(writer, True)
        yield writer
    finally:
        os.close(writer)
        os.close(reader)


@contextmanager
def running(stderr: int, *arguments: str | Path, cwd: Path = ROOT) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        cwd=cwd,
        env=os.environ | {"TERM": "xterm-256color"},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for pid in session_pids(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def arguments(origin: Origin, folder: Path, kind: str) -> list[str | Path]:
    source = write_list(folder / "urls.txt", [origin.url(f"/gate/held?{n}") for n in range(URLS)])
    common = ["--workers", "1", "--per-origin", str(URLS), "--drain-timeout", "3600", "--progress", PROGRESS[kind]]
    return [source, "-o", folder / "out.jsonl", "--summary", folder / "summary", *common]


@UNREAD
def test_ctrl_c_is_answered(origin: Origin, tmp_path: Path, kind: str) -> None:
    with unread(kind) as writer, running(writer, *arguments(origin, tmp_path, kind)) as process:
        origin.wait_waiting("held", n=URLS)

        def interrupted() -> bool:
            """Once and again, until nobody works for it."""
            if not children_of(process.pid):
                return True
            process.send_signal(signal.SIGINT)
            return False

        wait_until(interrupted, "its children are gone")
        assert process.wait(HANG_GUARD_S) == 130
    assert json.loads((tmp_path / "summary").read_bytes())["state"] == "interrupted"


@UNREAD
def test_it_works_to_its_end(origin: Origin, tmp_path: Path, kind: str) -> None:
    with unread(kind) as writer, running(writer, *arguments(origin, tmp_path, kind)) as process:
        origin.wait_waiting("held", n=URLS)
        # Two pictures, or two states, are due.
        wait_until(lambda: writes_of(process.pid) >= 1, "it has something to show")
        origin.open("held")
        assert process.wait(HANG_GUARD_S) == 0
    assert len(records(tmp_path / "out.jsonl")) == URLS


LOUD = """
import os, sys
from app.stages import stage

def shout(page):
    line = "x" * 1023
    for _ in range(100):
        print(line)
        print(line, file=sys.stderr)
    os.system("echo and so does what it starts >&2")
    return len(page.content)

apart = stage("apart", runs_in="process")(shout)
"""


@UNREAD
def test_a_child_that_writes_much_waits_for_nobody(origin: Origin, tmp_path: Path, kind: str) -> None:
    (tmp_path / "loud.py").write_text(LOUD)
    origin.open("held")
    stages = ["--stage", "loud:shout", "--stage", "loud:apart"]
    given = arguments(origin, tmp_path, kind)
    with unread(kind) as writer, running(writer, *given, *stages, cwd=tmp_path) as process:
        assert process.wait(HANG_GUARD_S) == 0
    assert len(records(tmp_path / "out.jsonl")) == URLS


def test_what_children_say_is_told_in_whole_lines(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(LOUD)
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok")])
    arguments = [source, "-o", tmp_path / "out.jsonl", "--stage", "loud:shout", "--progress", "json"]
    status, said = run_batch(*arguments, cwd=tmp_path)
    assert status == 0
    told = [json.loads(line).get("message") for line in said.splitlines()]
    assert told.count("x" * 1023) == 200
    assert told.count("and so does what it starts") == 1


def writes_of(pid: int) -> int:
    """How many threads of a process wait for somebody to read what they write."""
    calls = [path.read_text().split()[:2] for path in Path(f"/proc/{pid}/task").glob("*/syscall")]
    # write(2) on x86-64 and on arm64.
    return sum(call in (["1", "0x2"], ["64", "0x2"]) for call in calls)


@UNREAD
def test_a_mistake_in_its_use_is_a_status_at_least(tmp_path: Path, kind: str) -> None:
    with unread(kind) as writer, running(writer, tmp_path / "none.txt", "-o", tmp_path / "out.jsonl") as process:
        assert process.wait(HANG_GUARD_S) == 2
