"""An origin of our own: a program that prints its port once it listens, and serves until it is ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.common.cpus import confined_to


@contextmanager
def own_origin(module: str, *arguments: object, cpu: int) -> Iterator[int]:
    """Run `benchmarks.MODULE` on that CPU inside the `with`; yields the port. Raises SystemExit if it fails."""
    command = [sys.executable, "-P", "-m", f"benchmarks.{module}", *map(str, arguments)]
    with confined_to(cpu):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise SystemExit(f"the origin did not start: {' '.join(command[3:])}")
            yield int(port)
        finally:
            process.kill()
