"""Functions for isolated children to run: well behaved ones, and one for each way to go wrong."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from app.cpu.isolated_child import Unfit

_kept: list[bytes] = []


class WrongOne(Unfit):
    pass


def echo(argument: bytes | memoryview) -> bytes | memoryview:
    return argument


def kind_and_size(argument: bytes | memoryview) -> bytes:
    return f"{type(argument).__name__} {len(argument)}".encode()


def zeros(argument: bytes | memoryview) -> bytes:
    return bytes(int(bytes(argument)))


def about(_: bytes | memoryview) -> bytes:
    """What kind of process this is."""
    from gevent import monkey

    return json.dumps(
        {
            "pid": os.getpid(),
            "ppid": os.getppid(),
            "group": os.getpgid(0),
            "cpus": sorted(os.sched_getaffinity(0)),
            "patched": monkey.is_module_patched("socket") or monkey.is_module_patched("threading"),
            "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd")),
            "stdin": os.readlink("/proc/self/fd/0"),
            "same_output": os.fstat(1).st_ino == os.fstat(2).st_ino,
            "blocked": sorted(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            "ignored": [int(number) for number in (signal.SIGUSR1, signal.SIGUSR2) if _is_ignored(number)],
            "path": sys.path,
        }
    ).encode()


def _is_ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def pid(_: bytes | memoryview) -> bytes:
    return str(os.getpid()).encode()


def segfault(_: bytes | memoryview) -> bytes:
    ctypes.string_at(0)
    return b""


def spin(argument: bytes | memoryview) -> bytes:
    """Compute without end. The argument: where to make a file that says that it has begun; empty for nowhere."""
    if argument:
        Path(bytes(argument).decode()).touch()
    while True:
        pass


def wait_for_file(argument: bytes | memoryview) -> bytes:
    """Say that it has begun by a file, and go on once another is there. The argument: their common path."""
    path = bytes(argument).decode()
    Path(path + ".begun").write_text(str(os.getpid()))
    while not os.path.exists(path + ".go"):
        time.sleep(0.002)
    return b"went on"


def raise_error(argument: bytes | memoryview) -> bytes:
    raise ValueError("no " + bytes(argument).decode())


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def unfit(_: bytes | memoryview) -> bytes:
    """Calls its own process the wrong one."""
    raise WrongOne(str(os.getpid()))


def raise_unspeakable(_: bytes | memoryview) -> bytes:
    raise Unspeakable


def raise_surrogate(_: bytes | memoryview) -> bytes:
    raise ValueError("half a pair: \ud800")


def system_exit(_: bytes | memoryview) -> bytes:
    sys.exit("enough")


def hard_exit(argument: bytes | memoryview) -> bytes:
    os._exit(int(bytes(argument)))


def die_by_signal(argument: bytes | memoryview) -> bytes:
    os.kill(os.getpid(), int(bytes(argument)))
    return b"alive"


def grow(argument: bytes | memoryview) -> bytes:
    """Keep that many bytes, touched."""
    _kept.append(os.urandom(1) * int(bytes(argument)))
    return str(os.getpid()).encode()


def print_much(argument: bytes | memoryview) -> bytes:
    print("printed " + bytes(argument).decode())
    return b"said"


def return_text(_: bytes | memoryview) -> bytes:
    return "text"  # type: ignore[return-value]


def fork(_: bytes | memoryview) -> bytes:
    """Both the process and its copy return."""
    os.fork()
    return str(os.getpid()).encode()


def close_all_and_open_others(argument: bytes | memoryview) -> bytes:
    """Its descriptors are closed, and their numbers another file's."""
    os.closerange(0, 100)
    for _ in range(10):
        os.open(bytes(argument), os.O_RDWR | os.O_CREAT)
    return b"secret"


def leave_a_process_behind(_: bytes | memoryview) -> bytes:
    return str(subprocess.Popen(["sleep", "600"]).pid).encode()


def start_and_end_a_program(_: bytes | memoryview) -> bytes:
    """Whether programs started here can be ended by TERM."""
    with subprocess.Popen(["sleep", "600"]) as program:
        program.terminate()
        return str(program.wait()).encode()
