"""The system's own resolver, with name servers of ours."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.dns import NXDOMAIN, SERVFAIL, SILENT, in_own_network, questions
from tests.support.processes import HANG_GUARD_S, running_process

# Reads a JSON list of steps: ["resolve", host], ["later", seconds]. Writes what came of each.
_REAL = """
from gevent import monkey
monkey.patch_all()
import json, sys, gevent, gevent.socket
from app.errors import FetchError
from app.fetching.names import Names

now_s = 0.0
names = Names(clock_s=lambda: now_s)
told = []
for verb, value in json.loads(sys.argv[1]):
    if verb == "later":
        now_s += value
        continue
    try:
        told.append([value, *names.resolve(value)])
    except FetchError as error:
        told.append([value, str(error.kind), str(error)])
print(json.dumps(told))
"""


def _steps(*steps: str | float) -> str:
    """A number lets that many seconds pass; a text is a host to resolve."""
    return json.dumps([["resolve" if isinstance(step, str) else "later", step] for step in steps])


def _told(command: Sequence[str]) -> list[list[str]]:
    with running_process(command) as running:
        assert running.wait(2 * HANG_GUARD_S) == 0, running.stderr
        told: list[list[str]] = json.loads(running.stdout)
        return told


def test_the_systems_resolver_in_a_patched_process() -> None:
    localhost, *others = _told([sys.executable, "-c", _REAL, _steps("localhost", "127.1", "2130706433", "::1")])
    assert set(localhost[1:]) & {"127.0.0.1", "::1"}
    assert len(set(localhost)) == len(localhost)
    assert others == [["127.1", "127.0.0.1"], ["2130706433", "127.0.0.1"], ["::1", "::1"]]


def test_the_systems_resolver_with_a_name_server_of_ours(tmp_path: Path) -> None:
    zone = {
        "both.example": [["192.0.2.1", "2001:db8::1"]],
        "broken.example": [SERVFAIL, ["192.0.2.3"]],
        "printer.search.example": [["192.0.2.4"]],
        "rebinding.example": [["192.0.2.5"], ["127.0.0.1"]],
        "xn--bcher-kva.example": [["192.0.2.6"]],
        "no-address.example": [[]],
        "new.example": [NXDOMAIN, ["192.0.2.8"]],
    }
    steps = _steps(
        *("both.example", "Both.Example", "in-hosts.example", "printer", "bücher.example"),
        *("broken.example.", "broken.example."),
        *("rebinding.example", 59.0, "rebinding.example", 1.0, "rebinding.example"),
        *("no-address.example.", "name.invalid.", "name.invalid.", "new.example.", 5.0, "new.example."),
    )
    command = [sys.executable, "-c", _REAL, steps]
    told = _told(in_own_network(tmp_path, zone, command, hosts="192.0.2.2 In-Hosts.example\n"))
    kind, unknown = "name_not_resolved", "Name or service not known"
    assert [set(told[0]), set(told[1])] == [
        {host, "192.0.2.1", "2001:db8::1"} for host in ("both.example", "Both.Example")
    ]
    assert told[2:] == [
        ["in-hosts.example", "192.0.2.2"],
        ["printer", "192.0.2.4"],
        ["bücher.example", "192.0.2.6"],
        ["broken.example.", kind, "broken.example.: Temporary failure in name resolution"],
        ["broken.example.", "192.0.2.3"],
        ["rebinding.example", "192.0.2.5"],
        ["rebinding.example", "192.0.2.5"],
        ["rebinding.example", "127.0.0.1"],
        ["no-address.example.", kind, "no-address.example.: No address associated with hostname"],
        ["name.invalid.", kind, f"name.invalid.: {unknown}"],
        ["name.invalid.", kind, f"name.invalid.: {unknown}"],
        ["new.example.", kind, f"new.example.: {unknown}"],
        ["new.example.", "192.0.2.8"],
    ]
    asked = questions(tmp_path)
    assert [asked.count(f"{name} A") for name in ("both.example", "rebinding.example", "name.invalid")] == [
        1,
        2,
        1,
    ]
    assert not [question for question in asked if "hosts" in question]


def test_a_silent_name_server_holds_up_neither_other_names_nor_the_exit(tmp_path: Path) -> None:
    script = """
from gevent import monkey
monkey.patch_all()
import gevent
from app.fetching.names import Names

names = Names(threads=2)
try:
    with gevent.Timeout(0.001):
        names.resolve("silent.example")
except gevent.Timeout:
    print(*names.resolve("good.example"), names.statistics().running, flush=True)
"""
    zone = {"silent.example": [SILENT], "good.example": [["192.0.2.1"]]}
    command = in_own_network(tmp_path, zone, [sys.executable, "-c", script])
    with running_process(command) as running:
        assert running.wait() == 0, running.stderr
        assert running.stdout == "192.0.2.1 1\n"


def test_a_public_address_can_be_ours_in_a_network_of_its_own(tmp_path: Path) -> None:
    script = """
import socket
with socket.create_server(("203.0.113.7", 0)) as server:
    with socket.create_connection(server.getsockname()) as connection:
        print(connection.getpeername()[0], connection.getsockname()[0])
"""
    command = in_own_network(tmp_path, {}, [sys.executable, "-c", script], addresses=["203.0.113.7"])
    with running_process(command) as running:
        assert running.wait() == 0, running.stderr
        assert running.stdout.split() == ["203.0.113.7", "203.0.113.7"]


def _asked(folder: Path, left: int | None) -> list[str]:
    """What the system says of three names with so many descriptors left, None for plenty."""
    script = """
import os, resource, sys
from app.fetching.names import system_lookup

if sys.argv[1] != "plenty":
    lowest = os.dup(0)
    os.close(lowest)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + int(sys.argv[1]), hard))
for name in ("good.example", "in-hosts.example", "name.invalid."):
    try:
        print(*system_lookup(name))
    except OSError as error:
        print(type(error).__name__, error.strerror)
"""
    zone = {"good.example": [["192.0.2.1"]]}
    asked = [sys.executable, "-c", script, "plenty" if left is None else str(left)]
    with running_process(in_own_network(folder, zone, asked, hosts="192.0.2.2 in-hosts.example\n")) as running:
        assert running.wait() == 0, running.stderr
        return running.stdout.splitlines()


def test_a_want_of_descriptors_is_not_taken_for_a_name_that_does_not_exist(tmp_path: Path) -> None:
    lacking = "OSError Too many open files"
    assert _asked(tmp_path, None) == ["192.0.2.1", "192.0.2.2", "gaierror Name or service not known"]
    assert _asked(tmp_path, 0) == [lacking, lacking, lacking]
    # One was enough for this look-up, but perhaps not for one that another thread was at.
    assert _asked(tmp_path, 1) == ["192.0.2.1", "192.0.2.2", lacking]
