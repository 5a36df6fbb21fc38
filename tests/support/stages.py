"""Stages as a user would write them, for `--stage tests.support.stages:NAME`."""

from __future__ import annotations

import itertools
import os
import signal
import sys

from app.fetching.page import Page
from app.stages import stage

NUMBER = 5


def words(page: Page) -> int:
    """A plain function; its own name is the stage's."""
    return len(page.text.split())


@stage("loud")
def shout(page: Page) -> str:
    return page.text.upper()


def says(page: Page) -> None:
    print("said by a stage")


def fail(page: Page) -> None:
    raise ValueError(f"no luck with {page.url}")


def not_json(page: Page) -> object:
    return object()


def die(page: Page) -> None:
    """Ends its own worker, as a crash in native code would."""
    if "poison" in (page.url or ""):
        os.kill(os.getpid(), signal.SIGKILL)


def spin(page: Page) -> None:
    """Computes for ever, in Python, and never lets the hub turn."""
    while True:
        pass


def hold_the_gil(page: Page) -> None:
    """Native code for hours: no signal's handler runs meanwhile, and no slice ends."""
    all(itertools.repeat(True))


def leave(page: Page) -> None:
    """Tries to end the process."""
    if "poison" in (page.url or ""):
        sys.exit(3)


class Panic(BaseException):
    """As native code raises it (pyo3's PanicException)."""


def panic(page: Page) -> None:
    raise Panic("at the disco")


def fork_and_die(page: Page) -> None:
    """Leaves a process behind that holds all our descriptors open, then crashes."""
    if "poison" in (page.url or ""):
        if os.fork() == 0:
            signal.pause()
        os.kill(os.getpid(), signal.SIGKILL)


def where(page: Page) -> list[int]:
    """The CPUs that this worker may run on."""
    return sorted(os.sched_getaffinity(0))


@stage(runs_in="process")
def seen_in_a_process(page: Page) -> list[object]:
    return _seen(page)


@stage(runs_in="thread")
def seen_in_a_thread(page: Page) -> list[object]:
    return _seen(page)


def _seen(page: Page) -> list[object]:
    return [page.status_code, page.url, page.headers["Content-Encoding"], page.text, page.request.method]
