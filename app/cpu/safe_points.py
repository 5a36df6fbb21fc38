"""Safe points: whether a slice may be ended just where the timer's signal found the stage.

The law: at an unsafe point the stage goes on and is asked again a little later (as Go does: design 24543,
"Non-cooperative goroutine preemption", A. Clements, 2019). A point is unsafe if switching there could leave something
half done that other greenlets meet, and that they could not wait for:

    gc          the collector is running: it collects once at a time, and what it calls holds it up for all
    repr        the interpreter is writing a container: who writes the same one meanwhile gets "[...]"
    finalizer   a __del__: it runs in the middle of whatever dropped the last reference
    generator   one that is being closed, by whatever dropped it most likely: who is killed there would not die of it
    lookup      an __eq__ or __hash__: a functools.lru_cache that calls it must not be called meanwhile (CPython 3.11 to
                3.13 crash, with threads as well)
    import      the module's lock is held. Who waits for it waits for the whole import, of all that it imports, too
    logging, threading, queue, weakref   their locks and guards are held for a moment, also by callers that can't wait:
                the hub's callbacks, finalizers
    io          a method that the interpreter's buffered objects call, which hold their lock meanwhile: "reentrant call"
    gevent      a hub's bookkeeping under way
    handler     a signal's: who sent the signal waits for what it does
    percore     the scheduler itself, libcurl's callbacks, what workers do
    greenlet    another one than the run's

The collector tells (gc.callbacks), and so do the thread's dictionary (Py_Repr) and the exception that is handled; all
else is seen by the code objects on the stack, from where the signal found it to the run's first frame.

Generators as such are no reason: one is only in the way of another greenlet if both use the same one, and that was as
wrong before with threads. Who shares one says `no_preempt()`.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import io
import logging
import os
import queue
import signal
import socket
import ssl
import sys
import threading
import weakref
from collections.abc import Callable
from importlib import import_module
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, TypeVar, cast

import gevent
import greenlet

# Frames nearer to the top than this are looked at each time; deeper ones are marked, one in _MARK_EVERY.
_UNMARKED_DEPTH = 64
_MARK_EVERY = 32

# co_flags of what can be taken up by another caller than before: generators, coroutines, asynchronous generators.
_RESUMABLE = 0x20 | 0x80 | 0x200

_VERDICTS_KEPT = 10_000

# signal.getsignal would look for an enumeration's member each time. Real-time signals come after ours anyhow.
_handler_of: Callable[[int], object] = import_module("_signal").getsignal
_NUMBERS = tuple(
    int(number) for number in signal.valid_signals() if number < signal.SIGRTMIN and number != signal.SIGVTALRM
)

# What io's C objects call on a raw stream, a stream on its buffer, or a destructor on both.
_STREAM_METHODS = frozenset(
    {"readinto", "readinto1", "read", "read1", "readall", "readline", "write", "writelines", "flush", "seek", "tell"}
    | {"close", "truncate", "detach", "readable", "writable", "seekable", "fileno", "isatty"}
)


def _folder(module: ModuleType) -> str:
    return os.path.dirname(str(module.__file__)) + os.sep


_PERCORE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

# By the beginning of co_filename.
_BY_FOLDER = (
    ("<frozen importlib", "import"),
    ("<frozen zipimport", "import"),
    (_folder(importlib), "import"),
    (_folder(logging), "logging"),
    (_folder(gevent), "gevent"),
    (_folder(greenlet), "gevent"),
    (_PERCORE + "cpu" + os.sep, "percore"),
    (_PERCORE + "fetching" + os.sep, "percore"),
    (_PERCORE + "hub" + os.sep, "percore"),
    (os.path.join(os.path.dirname(os.path.dirname(_PERCORE)), "workers") + os.sep, "percore"),
)


def _file(module: ModuleType) -> str:
    return str(module.__file__)


_BY_FILE = {
    _file(threading): "threading",
    _file(queue): "queue",
    _file(weakref): "weakref",
    os.path.join(os.path.dirname(weakref.__file__), "_weakrefset.py"): "weakref",
    _file(io): "io",
    "<frozen io>": "io",
    os.path.join(os.path.dirname(io.__file__), "_pyio.py"): "io",
    _file(socket): "io",
    _file(ssl): "io",
}

# Where an exception would be swallowed (by the collector, by whoever dropped the reference), or do harm.
NEVER_RAISE_AT = frozenset({"gc", "finalizer", "percore"})

_SAFE, _STREAM = "", "stream?"


# By id: the codes of ours that may stand between two frames of a stage.
_passing: dict[int, CodeType] = {}

_F = TypeVar("_F", bound=Callable[..., Any])


def passing(function: _F) -> _F:
    """For a function of ours that only calls what it is given: it is no reason to postpone the end of a slice."""
    code = cast(FunctionType, function).__code__
    _passing[id(code)] = code
    return function


class SafePoints:
    """Judges frames of the thread that makes it.

    boundary  the code of the frame that calls a stage's function: what is below is not looked at
    """

    def __init__(self, boundary: CodeType) -> None:
        self._boundary = boundary
        self._thread_dict = _thread_dict()
        # Mutable: by id, with the code itself, so that its id is nobody else's. Comparing codes would cost too much.
        self._verdicts: dict[int, tuple[str, CodeType]] = {}
        self._safe: set[int] = set()  # those of them whose verdict is that there is no hazard

    def hazard(self, frame: FrameType | None) -> str | None:
        """Why no slice may be ended at this frame of the caller's thread: see the module; None if it may.

        Costs 0.1 us a frame for some 100 frames at most: deeper ones are looked at once in their life.
        """
        if _collector.is_running:
            return "gc"
        if self._thread_dict.get("Py_Repr"):  # Py_ReprEnter keeps those here that are being written
            return "repr"
        if sys.exc_info()[0] is GeneratorExit:
            return "generator"
        return self._hazard_on_stack(frame, _handlers.codes())

    def _hazard_on_stack(self, frame: FrameType | None, handlers: set[int]) -> str | None:
        boundary = self._boundary
        above = frame
        codes: list[int] = []
        for _ in range(_UNMARKED_DEPTH):
            if above is None:
                break
            code = above.f_code
            if code is boundary:
                # Mostly all of them have been met before, and are harmless: two looks for the whole stack.
                if self._safe.issuperset(codes) and handlers.isdisjoint(codes):
                    return None
                break
            codes.append(id(code))
            above = above.f_back
        return self._hazard_by_frame(frame, handlers)

    def _hazard_by_frame(self, frame: FrameType | None, handlers: set[int]) -> str | None:
        for _ in range(_UNMARKED_DEPTH):
            if frame is None:
                return "greenlet"
            code = frame.f_code
            if code is self._boundary:
                return None
            if id(code) in handlers:
                return "handler"
            if hazard := self._hazard_of(frame, code):
                return hazard
            frame = frame.f_back
        return self._hazard_deep(frame)

    def _hazard_of(self, frame: FrameType, code: CodeType) -> str:
        known = self._verdicts.get(id(code))
        verdict = known[0] if known is not None else self._judge(code)
        if verdict is _STREAM:
            return "io" if _is_stream_method(frame) else _SAFE
        return verdict

    def _hazard_deep(self, frame: FrameType | None) -> str | None:
        """The same for the deep part of a stack, which is looked at once.

        A frame has the same callers as long as it lives, unless it is a generator's. So one that was found safe is
        marked, in an attribute that means something to line tracers only, and has no reference from us: its variables
        die when they would have died.
        """
        marks = []
        depth = 0
        may_mark = sys.gettrace() is None
        while True:
            if frame is None:
                return "greenlet"
            code = frame.f_code
            if code is self._boundary or not frame.f_trace_lines:
                break
            if hazard := self._hazard_of(frame, code):
                return hazard
            depth += 1
            if may_mark and depth % _MARK_EVERY == 0 and not code.co_flags & _RESUMABLE:
                marks.append(frame)
            frame = frame.f_back
        for marked in marks:
            marked.f_trace_lines = False
        return None

    def _judge(self, code: CodeType) -> str:
        verdict = _verdict(code)
        if len(self._verdicts) >= _VERDICTS_KEPT:
            self._verdicts.clear()
            self._safe.clear()
        self._verdicts[id(code)] = (verdict, code)
        if not verdict:
            self._safe.add(id(code))
        return verdict


class _Handlers:
    """Ids of the codes of all installed signal handlers. A stage may install another at any time, so all are looked up
    each time, 30 of them in 2 us, and taken apart when they are others than the last time.
    """

    def __init__(self) -> None:
        # Mutable.
        self._installed: list[object] = []
        self._codes: set[int] = set()

    def codes(self) -> set[int]:
        installed = list(map(_handler_of, _NUMBERS))
        if installed != self._installed:
            self._codes = {id(_code_of(handler)) for handler in installed if callable(handler)}
            self._installed = installed
        return self._codes


def _code_of(handler: Any) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    handler = getattr(handler, "__func__", handler)
    if not hasattr(handler, "__code__"):
        handler = type(handler).__call__
    code: CodeType | None = getattr(handler, "__code__", None)
    return code


_handlers = _Handlers()


@functools.lru_cache(maxsize=4096)
def _verdict_of_file(filename: str) -> str:
    known = _BY_FILE.get(filename)
    if known is not None:
        return known
    return next((reason for folder, reason in _BY_FOLDER if filename.startswith(folder)), _SAFE)


def _verdict(code: CodeType) -> str:
    if id(code) in _passing:
        return _SAFE
    if code.co_name == "__del__":
        return "finalizer"
    if code.co_name in ("__eq__", "__hash__"):
        return "lookup"
    verdict = _verdict_of_file(code.co_filename)
    if not verdict and code.co_name in _STREAM_METHODS:
        return _STREAM
    return verdict


def _is_stream_method(frame: FrameType) -> bool:
    """Whether the frame's first argument is a stream, whose methods io's buffers call with their lock held."""
    code = frame.f_code
    if not code.co_argcount:
        return False
    first = frame.f_locals.get(code.co_varnames[0])
    return isinstance(first, io.IOBase) or hasattr(type(first), "readinto")


class _Collector:
    """Knows whether the garbage collector is running, in any thread: its finalizers and callbacks are called by it."""

    def __init__(self) -> None:
        self.is_running = False

    def watch(self) -> None:
        if self._note not in gc.callbacks:
            gc.callbacks.append(self._note)

    def _note(self, phase: str, _info: dict[str, int]) -> None:
        self.is_running = phase == "start"


_collector = _Collector()
watch_collector = _collector.watch

_thread_dict_at = ctypes.pythonapi.PyThreadState_GetDict
_thread_dict_at.restype = ctypes.c_void_p  # borrowed: as a py_object it would be given up once too often
_thread_dict_at.argtypes = ()


def _thread_dict() -> dict[str, Any]:
    """What the interpreter keeps for the calling thread."""
    found: dict[str, Any] = ctypes.cast(_thread_dict_at(), ctypes.py_object).value
    return found
