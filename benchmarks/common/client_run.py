"""One run of one client: started on its cores, bounded in time, ended whatever happens, its line read."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from benchmarks.common.cpus import confined_to

_T = TypeVar("_T")

Command = Sequence[str | Path]


class ClientFailed(Exception):
    """It gave no figures; the message says why."""


def run_client(
    command: Command, environment: Mapping[str, str], *, cpus: Collection[int], timeout_s: float, line: type[_T]
) -> _T:
    """Start, wait, read the line, which is one `line`. Raises ClientFailed. Nothing that it started is left when this
    raises.
    """
    process = started(command, environment, cpus, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException as error:
            kill_group(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ClientFailed(f"not done after {timeout_s:g} s") from None
            raise
    return figures(process.returncode, out, err, line)


def started(
    command: Command, environment: Mapping[str, str], cpus: Collection[int], **streams: Any
) -> subprocess.Popen[bytes]:
    """In a session of its own: a ctrl-C is for us, and we end it with all that it started."""
    with confined_to(*cpus):
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True, **streams)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """It must not have been waited for: then the id, which is its group's too, can be nobody else's."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def figures(status: int, out: bytes, err: bytes, line: type[_T]) -> _T:
    """What an ended client said in its last line. Raises ClientFailed."""
    said, complaint = last_line(out), last_line(err)
    if status != 0:
        raise ClientFailed(f"ended with {status}: {complaint[:300]}")
    try:
        return msgspec.json.decode(said, type=line)
    except msgspec.DecodeError as error:
        raise ClientFailed(f"said no line of figures ({error}): {said[:300] or complaint[:300]}") from None


def last_line(said: bytes) -> str:
    """Of what a program wrote; "" of nothing."""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
