"""Exchange: put one folder in the place of another, which a rename can't do."""

from __future__ import annotations

import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # renameat2(2)


def exchange(new: Path, old: Path, *, aside: Path) -> None:
    """Put `new` where `old` is, at once where the file system can do that; `old` then lies where `new` was.

    Where it can't, `old` is moved to `aside` first, so for a moment there is nothing. Raises OSError.
    """
    import ctypes  # only now: hardly any run needs it

    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 is not None:
        names = os.fsencode(new), os.fsencode(old)
        if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
    os.rename(old, aside)
    os.rename(new, old)
