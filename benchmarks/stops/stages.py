"""The stages of the batches that are stopped, for `--stage benchmarks.stops.stages:NAME`.

They take their time while PERCORE_BENCH_STOPS is set, which it is for the run that is stopped, and not for the one that
goes on: so that has the same stages, and is done soon. Each returns the SHA-256 of the body.
"""

from __future__ import annotations

import hashlib
import itertools
import os

from app.fetching.page import Page

SWITCH = "PERCORE_BENCH_STOPS"

# Of five pages in a row four take the one and one the other: some 5 and 200 ms of a core.
_SHORT = 100_000
_LONG = 4_000_000

# A minute and more: the deadman, and whoever waits for it, come later than any trial's end.
_HELD_TIMES = 20_000_000_000


def plain(page: Page) -> str:
    """Takes no time."""
    return hashlib.sha256(page.body).hexdigest()


def busy(page: Page) -> str:
    """Python bytecode throughout, in the worker."""
    if SWITCH in os.environ:
        value = 1
        for _ in range(_LONG if len(page.body) % 5 == 0 else _SHORT):
            value = (value * 31 + 7) % 65_537
    return plain(page)


def hold(page: Page) -> str:
    """For one page in eight, one call of native code that keeps the GIL and looks at no signal."""
    if SWITCH in os.environ and len(page.body) % 8 == 3:
        all(itertools.repeat(True, _HELD_TIMES))
    return plain(page)
