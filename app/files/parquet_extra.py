"""Parquet extra: what to say where pyarrow is not, which is the package's extra `percore[parquet]`."""

from __future__ import annotations

import shlex
import sys


def pyarrow_is_missing() -> str:
    """What is missing, and the command that mends it in this very environment."""
    return f"Parquet needs pyarrow, which is not here: {shlex.quote(sys.executable)} -m pip install 'pyarrow>=20'"
