"""Exchange: put one folder in the place of another, which a rename can't do."""

from __future__ import annotations

import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # renameat2(2)


def exchange(one: Path, other: Path) -> bool:
    """Give each the other's name, at one moment; whether the file system could do that. Both must exist."""
    import ctypes  # only now: hardly any run needs it

    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 is None:
        return False
    done: int = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return done == 0
