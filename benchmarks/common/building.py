"""Where the benchmark keeps what it builds once, and how two runs don't build the same thing at once."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

FOLDER = ROOT / "benchmarks" / ".build"
"""git ignores it; it may be removed at any time that no benchmark runs."""


def built(target: Path, build: Callable[[], None]) -> Path:
    """`target`, after `build` has made it if it wasn't there. It must appear in one step, whole."""
    FOLDER.mkdir(exist_ok=True)
    lock_fd = os.open(FOLDER / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        if not target.exists():
            build()
    finally:
        os.close(lock_fd)
    return target


def run(purpose: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
    """One step of a build. Raises SystemExit with what the program said last when it fails."""
    sys.stderr.write(f"bench: {purpose}\n")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
        raise SystemExit(f"{last}\nbench: could not: {purpose}")
