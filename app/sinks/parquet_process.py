"""Parquet process: Parquet written and read in a process of its own, as `app.sinks.parquet` does it here.

pyarrow and what it needs take some 80 MB that are not given back. Who lives as long as a job does, and has promised to
stay small, has it done so.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

import msgspec

from app.errors import BrokenInput

_PROGRAM = "app.sinks.parquet_program"

# The least that Linux has: a page (fcntl(2), F_SETPIPE_SZ).
_PIPE_BYTES = 4096

REFUSED = 3
"""The program's exit status when it tells a Refusal, on the last line of its standard error, as JSON."""


class Refusal(msgspec.Struct, frozen=True):
    """What it was refused. number: an errno; None for a file that is not what it should be."""

    number: int | None
    text: str
    filename: str | None = None


def write_parquet_apart(shards: Iterable[Path], out: BinaryIO) -> None:
    """As app.sinks.parquet.write_parquet. out: has a descriptor, and nothing in its buffer. Raises OSError."""
    # A small pipe, so that who counts the shards that were taken from it is not far ahead of the process.
    with _running("write", [], stdin=subprocess.PIPE, stdout=out, pipesize=_PIPE_BYTES) as process:
        assert process.stdin is not None
        # It is gone when it was refused something; the reason is told at the end.
        with suppress(BrokenPipeError), process.stdin as names:
            for shard in shards:
                # As bytes, which are base64 in JSON: a name need not be UTF-8.
                names.write(msgspec.json.encode(os.fsencode(shard)) + b"\n")
                names.flush()


def read_parquet_apart(path: Path) -> Iterator[bytes]:
    """As app.sinks.parquet.read_parquet."""
    with _running("read", [os.fspath(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with process.stdout as lines:
            yield from lines


@contextmanager
def _running(what: str, arguments: list[str], **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The program under way; at the end of the `with` it has ended. Raises OSError and BrokenInput as it told."""
    command = [sys.executable, "-P", "-m", _PROGRAM, what, str(os.getpid()), *arguments]
    with tempfile.TemporaryFile() as said:
        # A group of its own: ctrl-C is ours to answer.
        process = subprocess.Popen(command, stderr=said, process_group=0, **streams)
        try:
            yield process
            status = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        if status:
            said.seek(0)
            raise _refusal(status, said)


def _refusal(status: int, said: IO[bytes]) -> OSError | BrokenInput:
    lines = said.read().splitlines() or [b""]
    if status == REFUSED:
        told = msgspec.json.decode(lines[-1], type=Refusal)
        return BrokenInput(told.text) if told.number is None else OSError(told.number, told.text, told.filename)
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    last = lines[-1].decode(errors="replace")
    return OSError(errno.EIO, f"the process that does Parquet {how}" + (f" ({last})" if last else ""))
