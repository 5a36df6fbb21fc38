"""Parquet extra: what to say where pyarrow is not, which is the package's extra `percore[parquet]`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

_WANTED = "pyarrow>=20"


def pyarrow_is_missing() -> str:
    """What is missing, and what mends it in this very environment."""
    said = "Parquet needs pyarrow, which is not here"
    if Path(sys.prefix, "percore-environment").exists():
        # One that bin/ has built, and would build anew without what pip put there by hand.
        return f"{said}: add the line {_WANTED} to requirements-local.txt in the checkout, and type this again"
    return f"{said}: {shlex.quote(sys.executable)} -m pip install '{_WANTED}'"
