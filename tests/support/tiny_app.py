"""A WSGI application for tests of the worker class: each path misbehaves in one way, at the test's command.

It meets the test in the folder TINY_FOLDER: `NAME.in` says that a request got so far, and a held request goes on
when the test makes `NAME.go`. Python's standard library only, so that it can be imported anywhere.
"""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Start = Callable[[str, list[tuple[str, str]]], Any]


def _folder() -> Path:
    return Path(os.environ["TINY_FOLDER"])


class TinyApp:
    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """GET /WHAT/NAME."""
        _, what, name = (environ["PATH_INFO"] + "//").split("/")[:3]
        answer: Callable[[dict[str, Any], str, Start], Iterable[bytes]] = getattr(self, f"get_{what}")
        return answer(environ, name, start)

    def drain(self) -> None:
        (_folder() / f"drain.{os.getpid()}").touch()

    def get_me(self, environ: dict[str, Any], name: str, start: Start) -> list[bytes]:
        """Who answers."""
        found = {"pid": os.getpid(), "wide": os.environ.get("PERCORE_WIDE_CPUS"), "peer": environ.get("REMOTE_ADDR")}
        return _ok(start, json.dumps(found).encode())

    def get_hold(self, environ: dict[str, Any], name: str, start: Start) -> list[bytes]:
        """Answers when it may."""
        _pass(name)
        return _ok(start, b"held")

    def get_stream(self, environ: dict[str, Any], name: str, start: Start) -> Iterator[bytes]:
        """Two items, the second when it may. `NAME.closed` says that the generator was closed."""
        start("200 OK", [("Content-Type", "text/plain")])
        try:
            yield b"first\n"
            _pass(name)
            while (_folder() / f"{name}.more").exists():
                yield b"more\n"
                time.sleep(0.01)
            yield b"second\n"
        finally:
            (_folder() / f"{name}.closed").touch()

    def get_compute(self, environ: dict[str, Any], name: str, start: Start) -> list[bytes]:
        """Computes in pure Python for good, and lets no exception stop it."""
        (_folder() / f"{name}.in").touch()
        while True:
            try:
                while True:
                    pass
            except BaseException:
                continue

    def get_stuck(self, environ: dict[str, Any], name: str, start: Start) -> list[bytes]:
        """Sits in a C call that keeps the GIL."""
        (_folder() / f"{name}.in").touch()
        while True:
            ctypes.PyDLL(None).sleep(3600)

    def get_fail(self, environ: dict[str, Any], name: str, start: Start) -> list[bytes]:
        raise ArithmeticError("the test's own failure")


def _ok(start: Start, body: bytes) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _pass(name: str) -> None:
    """Wait at the gate (patched: yields to the hub)."""
    (_folder() / f"{name}.in").touch()
    while not (_folder() / f"{name}.go").exists():
        time.sleep(0.01)


application = TinyApp()
