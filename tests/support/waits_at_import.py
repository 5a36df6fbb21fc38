"""A module of stages whose import does not end while WAITS_AT_IMPORT is set, to the name of a file that it makes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

if "WAITS_AT_IMPORT" in os.environ:
    Path(os.environ["WAITS_AT_IMPORT"]).touch()
    while True:
        signal.pause()


def nothing(page: object) -> None:
    """A stage."""
