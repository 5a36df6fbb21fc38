"""Stages that behave and misbehave alike in the worker, in a thread and in a process: `in_place` gives each of them its
place. At the top of a module, so that isolated processes find them.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
import msgspec
from gevent import GreenletExit
from gevent.event import Event

from app.errors import Draining
from app.fetching.page import Page
from app.stages import Stage, stage
from app.stages.base import RunsIn


@stage
def about(page: Page) -> list[Any]:
    """The page's length, and in what process and thread this runs."""
    return [len(page.body), os.getpid(), threading.get_native_id()]


@stage
def sees(page: Page, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The values before it."""
    return dict(earlier)


@stage
def no_json(page: Page) -> Any:
    return {"found": [object]}


@stage
def fails(page: Page) -> None:
    raise ValueError("no luck\nat all")


@stage
def fails_wordlessly(page: Page) -> None:
    raise KeyError


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


@stage
def fails_unspeakably(page: Page) -> None:
    raise NoText


@stage
def leaves(page: Page) -> None:
    sys.exit(3)


@stage
def interrupts(page: Page) -> None:
    raise KeyboardInterrupt


@stage
def is_interrupted(page: Page) -> None:
    """By ctrl-C, while it computes."""
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass


@stage
def cancels(page: Page) -> None:
    raise asyncio.CancelledError


@stage
def times_out(page: Page) -> None:
    raise gevent.Timeout(7)


@stage
def stops(page: Page) -> None:
    next(iter(()))


@stage
def closes(page: Page) -> None:
    raise GeneratorExit


class Panic(BaseException):
    """As extensions in Rust raise it."""


@stage
def panics(page: Page) -> None:
    raise Panic("of native code")


@stage
def kills_its_greenlet(page: Page) -> None:
    raise GreenletExit


@stage
def drains(page: Page) -> None:
    raise Draining("so it says")


@stage
def waits_for_file(page: Page) -> str:
    """Computes, and never waits, until there is a file of the name that the page holds. It begins with one beside it,
    NAME.begun.
    """
    Path(f"{os.fsdecode(page.body)}.begun").touch()
    while not os.path.exists(page.body):
        pass
    return "done"


@stage
def waits(page: Page) -> None:
    """For what never comes. In the worker only."""
    Event().wait()


@stage
def spins(page: Page) -> None:
    while True:
        pass


@stage
def backtracks(page: Page) -> None:
    """A regular expression that takes longer than anybody lives: one call of native code."""
    re.match(r"(a+)+$", "a" * 60 + "b")


@stage
def crashes(page: Page) -> str:
    """Where the page says so."""
    if b"crash" in page.body:
        ctypes.string_at(0)
    return "alive"


@stage
def spoils(page: Page) -> str:
    """Changes all of the page that can be changed."""
    page.memo["spoilt"] = True
    page.headers["X-Spoilt"] = "yes"
    page._content = b"spoilt"
    page.url = "http://spoilt.example/"
    return page.text


def in_place(found: Stage, place: RunsIn, **changes: Any) -> Stage:
    """The same stage, there."""
    reference = f"{__name__}:{found.function.__name__}" if place == "process" else ""
    return msgspec.structs.replace(found, runs_in=place, reference=reference, **changes)
