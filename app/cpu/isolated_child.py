"""The isolated child: a fresh interpreter that runs one function at a time for its parent, until the socket closes.

The laws:
- It is not monkey patched, and one thread of it runs the functions, one after the other: what they leave behind in
  the process (modules, caches, changed settings) is there for the next ones, until the child is recycled.
- Standard input is empty, standard output goes to standard error, and no other descriptor of the parent is open.
- Whatever a function raises is its answer, SystemExit and KeyboardInterrupt included; after `Unfit` it gets no other
  task. What ends the process (a signal, os._exit) or spoils its socket ends the child: the parent says so to whoever
  waits.
- A copy of the process that a function forked, and that returns from the function, ends there.
- Ctrl-C, TERM and HUP do nothing to it. It ends with its parent, also in the middle of a function (PR_SET_PDEATHSIG,
  prctl(2)).
"""

from __future__ import annotations

import ctypes
import faulthandler
import io
import json
import mmap
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from importlib import import_module

from app.cpu.isolated_frames import BUFFER_BYTES, Buffer, Frame, Kind, make_roomy, receive, sealed_memory, send

SOCKET_DESCRIPTOR = 3

BOOT = "import sys; sys.path[:] = sys.argv[3:]; from app.cpu.isolated_child import main; main()"
"""The program, for `python -P -c`. Its arguments: the parent's process id, the largest result in bytes, and the module
search path, an argument for each folder."""

# Ctrl-C, and what a service manager sends to every process of a unit: the parent's to answer, which may want to finish.
# By a handler and not ignored: programs that a function starts would inherit that.
_NOT_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PR_SET_PDEATHSIG = 1
_MAX_TEXT = 64 * 1024

Function = Callable[[bytes | memoryview], Buffer]


class Unfit(Exception):
    """Raised by a function for which this process is the wrong one: it is answered as any error, and the process is
    replaced.
    """


def main() -> None:
    """Run until the parent closes its end."""
    parent, max_result_bytes = int(sys.argv[1]), int(sys.argv[2])
    for number in _NOT_OURS:
        signal.signal(number, lambda *_: None)
    _die_with(parent)
    os.closerange(SOCKET_DESCRIPTOR + 1, os.sysconf("SC_OPEN_MAX"))
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # a child that is killed flushes nothing
    sys.argv[:] = ["percore-isolated"]
    with socket.socket(fileno=SOCKET_DESCRIPTOR) as end:
        _Server(end, max_result_bytes).serve()


class _Server:
    """The child's end of the socket pair, and what runs behind it."""

    def __init__(self, end: socket.socket, max_result_bytes: int) -> None:
        self._end = end
        self._max_result_bytes = max_result_bytes
        self._inline_bytes = make_roomy(end)
        self._identity = os.fstat(end.fileno())
        self._pid = os.getpid()
        self._functions: dict[str, Function] = {}

    def serve(self) -> None:
        buffer = bytearray(BUFFER_BYTES)
        send(self._end, Kind.READY)
        while (frame := self._next(buffer)) is not None:
            self._answer(frame)

    def _next(self, buffer: bytearray) -> Frame | None:
        try:
            return receive(self._end, buffer)
        except ConnectionError:
            return None  # the parent has gone, and left something unread

    def _answer(self, frame: Frame) -> None:
        try:
            value = self._call(frame)
        except BaseException as error:
            self._leave_if_copy_or_cut_off()
            kind = Kind.LAST if isinstance(error, Unfit) else Kind.RAISED
            send(self._end, kind, frame.task, body=[_description(error)])
            return
        self._leave_if_copy_or_cut_off()
        if len(value) <= self._inline_bytes:
            send(self._end, Kind.VALUE, frame.task, body=[value])
            return
        try:
            descriptor = sealed_memory([value])
        except OSError as error:
            send(self._end, Kind.RAISED, frame.task, body=[_description(error)])
            return
        send(self._end, Kind.VALUE, frame.task, descriptor=descriptor)
        os.close(descriptor)

    def _call(self, frame: Frame) -> memoryview:
        argument: bytes | memoryview
        if frame.descriptor is None:
            argument = bytes(frame.body)
        else:
            # The map outlives its descriptor, and goes when nothing looks at it any more.
            argument = memoryview(mmap.mmap(frame.descriptor, 0, prot=mmap.PROT_READ))
            os.close(frame.descriptor)
        value = self._function(frame.name)(argument)
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(f"{frame.name} returned {type(value).__name__}, not bytes")
        plain = memoryview(value).cast("B")
        if len(plain) > self._max_result_bytes:
            raise ValueError(f"{frame.name} returned {len(plain)} bytes; the limit is {self._max_result_bytes}")
        return plain

    def _function(self, reference: str) -> Function:
        found = self._functions.get(reference)
        if found is None:
            module, _, path = reference.partition(":")
            target = import_module(module)
            for name in path.split("."):
                target = getattr(target, name)
            if not callable(target):
                raise TypeError(f"{reference} can't be called")
            found = self._functions[reference] = target
        return found

    def _leave_if_copy_or_cut_off(self) -> None:
        """Before an answer: whether it is ours to give, and still goes to the parent. A function may have forked, or
        closed our descriptor, whose number may since be another file's.
        """
        if os.getpid() != self._pid:
            os._exit(0)
        try:
            now = os.fstat(self._end.fileno())
        except OSError:
            os._exit(70)  # EX_SOFTWARE, sysexits.h
        if (now.st_dev, now.st_ino) != (self._identity.st_dev, self._identity.st_ino):
            os._exit(70)


def _description(error: BaseException) -> bytes:
    """Type, message and traceback, of characters that any encoding takes."""
    kind = type(error).__qualname__
    try:
        message = str(error)
    except BaseException as another:
        message = f"(its text can't be had: {type(another).__name__})"
    try:
        # The first step is our own.
        steps = error.__traceback__.tb_next if error.__traceback__ is not None else None
        text = "".join(traceback.format_exception(type(error), error, steps))
    except BaseException:
        text = ""
    parts = [kind[:200], message[:_MAX_TEXT], text[-_MAX_TEXT:]]
    return json.dumps([part.encode("utf-8", "backslashreplace").decode() for part in parts]).encode()


def _die_with(parent: int) -> None:
    """Have the kernel kill us when the parent's thread that started us ends, and leave if that was before."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
