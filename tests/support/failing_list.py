"""A list of 40 requests some of which fail: once, or always."""

from __future__ import annotations

from pathlib import Path

from tests.support.batch import write_list
from tests.support.origin import Origin

ONCE = ("--retries", "0", "--workers", "1")
"""Options with which those fail that do so at their first attempt."""

FLAKY = {0, 10, 20, 30}
MISSING = {5, 15, 25, 35}


def write_failing_list(path: Path, origin: Origin) -> Path:
    """Of the origin: FLAKY fail at their first attempt, MISSING always."""
    paths = dict.fromkeys(FLAKY, "/flaky-status/{}/1/503") | dict.fromkeys(MISSING, "/status/404?{}")
    return write_list(path, (origin.url(paths.get(n, "/ok/{}").format(n)) for n in range(40)))
