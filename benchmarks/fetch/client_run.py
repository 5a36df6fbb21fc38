"""One run of one client: started on its core, bounded in time, ended whatever happens, its line read."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.fetch.cpus import confined_to


class Measured(Struct, frozen=True):
    """A client's line; benchmarks/clients/protocol.py says what each field is."""

    fetches: int
    errors: int
    first_error: str
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    body_bytes: int
    versions: dict[str, str]


class ClientFailed(Exception):
    """It gave no figures; the message says why."""


def run_client(
    command: Sequence[str | Path], environment: Mapping[str, str], *, cpu: int, timeout_s: float
) -> Measured:
    """Start, wait, read. Raises ClientFailed. Nothing that it started is left when this returns or raises."""
    with confined_to(cpu):
        # In a session of its own: a ctrl-C is for us, and we end it with all that it started.
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    with process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException as error:
            # Not waited for yet, so the id, which is its group's too, can be nobody else's.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ClientFailed(f"not done after {timeout_s:g} s") from None
            raise
    if process.returncode != 0:
        raise ClientFailed(f"ended with {process.returncode}: {_last_line(err)}")
    try:
        return msgspec.json.decode(out, type=Measured)
    except msgspec.DecodeError as error:
        raise ClientFailed(f"said no line of figures ({error}): {_last_line(out) or _last_line(err)}") from None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else ""
