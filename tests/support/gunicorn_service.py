"""Real gunicorn with our conf and worker class, serving `tests.support.tiny_app`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.policy.cpu_list import parse_cpus
from tests.support.ports import Address
from tests.support.processes import ROOT, Running, running_process, wait_until

# Our conf, with the test's lines after it. Its hooks keep seeing their own module's names.
_CONF = """
import runpy
ours = runpy.run_path({ours!r})
globals().update((name, value) for name, value in ours.items() if not name.startswith("__"))
{more}
"""


def require_two_cpus() -> None:
    """Skips the test on a machine that allows one CPU only; fails it where PERCORE_TEST_REQUIRE=1 is set."""
    if len(os.sched_getaffinity(0)) >= 2:
        return
    reason = "needs two CPUs: run on a machine, or in a container, that allows two"
    if os.environ.get("PERCORE_TEST_REQUIRE") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Service:
    """address: where it listens. folder: where the tiny application and the test meet."""

    def __init__(self, running: Running, folder: Path) -> None:
        self.running = running
        self.folder = folder
        line = running.wait_for_line("Listening at: ")
        found = re.search(r"Listening at: (?:http://([^:]+):(\d+)|unix:(\S+))", line)
        assert found, line
        self.address: Address = Path(found[3]) if found[3] else (found[1], int(found[2]))

    @contextlib.contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        """One connection, kept alive between requests, closed in the end."""
        if isinstance(self.address, tuple):
            opened = http.client.HTTPConnection(*self.address, timeout=30)
        else:
            opened = UnixConnection(str(self.address), timeout=30)
        with contextlib.closing(opened):
            opened.connect()
            yield opened

    def me(self) -> dict[str, Any]:
        """What the worker that answers says of itself."""
        with self.connection() as connection:
            connection.request("GET", "/me")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def wait_for(self, name: str) -> None:
        wait_until(lambda: self.has(name), f"the application wrote {name}")

    def allow(self, name: str) -> None:
        (self.folder / f"{name}.go").touch()

    def worker_pids(self) -> set[int]:
        return set(self.running.session()) - {self.running.pid}

    def cores(self) -> list[list[int]]:
        """The mask of each worker, sorted. A worker that ends while we look is left out."""
        return sorted(mask for mask in map(mask_of, self.worker_pids()) if mask)

    def wait_cores(self, expected: list[list[int]]) -> None:
        wait_until(lambda: self.cores() == expected, f"workers had the masks {expected}, but {self.cores()}")

    def signal_workers(self, number: int) -> None:
        for pid in self.worker_pids():
            os.kill(pid, number)


def mask_of(pid: int) -> list[int]:
    """The CPUs that a process may run on; empty when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return []
    found = re.search(r"^Cpus_allowed_list:\s*(\S+)", status, re.MULTILINE)
    return sorted(parse_cpus(found[1])) if found else []


@contextlib.contextmanager
def gunicorn_running(folder: Path, *options: str, more: str = "", **settings: str) -> Iterator[Running]:
    """gunicorn's own command with our conf. more: lines of Python after it. settings: PERCORE_*, less the prefix."""
    conf = folder / "conf.py"
    conf.write_text(_CONF.format(ours=str(ROOT / "gunicorn.conf.py"), more=more))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PERCORE_", "GUNICORN_"))}
    environ |= {"PERCORE_BIND": "127.0.0.1:0", "PERCORE_PIN": "on", "PERCORE_WORKERS": "1"}
    environ |= {f"PERCORE_{name}": value for name, value in settings.items()}
    environ["TINY_FOLDER"] = str(folder)
    command = [sys.executable, "-m", "gunicorn", "-c", str(conf), *options, "tests.support.tiny_app:application"]
    with running_process(command, env=environ) as running:
        yield running


@contextlib.contextmanager
def service(folder: Path, *options: str, more: str = "", **settings: str) -> Iterator[Service]:
    """The same, once it listens."""
    with gunicorn_running(folder, *options, more=more, **settings) as running:
        yield Service(running, folder)
