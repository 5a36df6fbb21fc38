"""This hub's scheduler, and the shortest way to use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from app.cpu.safe_points import passing
from app.cpu.scheduler import DEFAULT_SLICE_S, Scheduler
from app.hub.per_hub import of_this_hub

_T = TypeVar("_T")

_KEY = "cpu scheduler"


def scheduler_of_this_hub(slice_s: float = DEFAULT_SLICE_S) -> Scheduler:
    """The one scheduler of the caller's hub, made on first use, with slices of that length; in a forked child anew.

    slice_s  counts for who makes it; all later callers get the same one
    """
    return of_this_hub(_KEY, lambda: Scheduler(slice_s=slice_s))


@passing
def run_sliced(function: Callable[..., _T], *args: Any) -> _T:
    """Call the function on this hub as a worker stage is called: in slices, with I/O polled in between.

    Gives what it returns, raises what it raises. Yields to the hub.
    """
    return scheduler_of_this_hub().run(function, *args)
