"""fetch-batch in tests: the real command in a process of its own, and what it wrote."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT, Running, running_process

COMMAND = [sys.executable, "-P", "-m", "workers.fetch_batch"]


def write_list(path: Path, lines: Iterable[str]) -> Path:
    """Make it a file of these lines; the path again."""
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@contextmanager
def running_batch(*args: str | Path, cwd: Path = ROOT, stdin: int | None = None, **env: str) -> Iterator[Running]:
    """A fetch-batch under way, with few retries and no progress lines unless told otherwise."""
    command = [*COMMAND, *map(str, args)]
    if "--progress" not in args:
        command += ["--progress", "none"]
    options = {} if stdin is None else {"stdin": stdin}
    with running_process(command, cwd=cwd, env=os.environ | env, **options) as process:
        yield process


def run_batch(*args: str | Path, cwd: Path = ROOT, **env: str) -> tuple[int, str]:
    """Run it to its end: the exit status and what it said on standard error."""
    with running_batch(*args, cwd=cwd, **env) as process:
        status = process.wait(timeout_s=120)
        return status, process.stderr


def records(path: Path) -> list[dict[str, Any]]:
    """The records of an output file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def children_of(pid: int) -> list[int]:
    """The living children of a process."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in found.split()]
