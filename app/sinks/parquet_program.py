"""The program of app.sinks.parquet_process, which starts it and nobody else does: Parquet written, or read.

    python -P -m app.sinks.parquet_program write PARENT        shards on standard input, the file on standard output
    python -P -m app.sinks.parquet_program read PARENT PATH    its records on standard output, as JSON lines

What was refused is told as app.sinks.parquet_process says.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from app.errors import BrokenInput
from app.sinks.parquet import read_parquet, write_parquet
from app.sinks.parquet_process import REFUSED, Refusal

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Do what the arguments say, or end with the process that asked for it."""
    # Nobody would wait for the rest.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[2]):
        sys.exit(1)
    # What a library prints must not get between.
    with open(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        _telling_refusals(lambda: _do(sys.argv[1], sys.argv[3:], out))


def _do(what: str, arguments: list[str], out: BinaryIO) -> None:
    if what == "write":
        write_parquet(_shards(), out)
    else:
        out.writelines(read_parquet(Path(arguments[0])))
    out.flush()


def _shards() -> Iterator[Path]:
    for line in sys.stdin.buffer:
        yield Path(os.fsdecode(msgspec.json.decode(line, type=bytes)))


def _telling_refusals(do: Callable[[], None]) -> None:
    try:
        do()
    except BrokenInput as error:
        refusal = Refusal(None, str(error))
    except OSError as error:
        name = None if error.filename is None else os.fsdecode(error.filename)
        refusal = Refusal(error.errno or 0, error.strerror or str(error), name)
    else:
        return
    sys.stderr.flush()
    sys.stderr.buffer.write(b"\n" + msgspec.json.encode(refusal) + b"\n")
    sys.stderr.flush()
    # Not by way of what is still to be written, which may be refused too.
    os._exit(REFUSED)


if __name__ == "__main__":
    main()
