"""Sources: by what code is known again that stages are made of. Each has a key, and a value that changes with the code.

    /home/me/score.py   a file that was imported: the SHA-256 of its content, in hexadecimal
    score               a stage by that name, which a package has registered: the package's name and version
    score:value         a stage given as module:function: as its module's file; found by workers.stage_sources

Nothing is imported to find them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

STAGE_GROUP = "percore.stages"
"""The entry point group in which packages register stages."""


def digest_of(path: str) -> str | None:
    """Of a file; None for one that can't be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None


def package_of(stage: str) -> str | None:
    """Name and version of the package that has registered a stage; None where there is none. Takes some ms."""
    # Who names no stage of a package need not wait for it.
    from importlib.metadata import entry_points

    points = entry_points(group=STAGE_GROUP, name=stage)
    packages = {f"{point.dist.name} {point.dist.version}" for point in points if point.dist is not None}
    return ", ".join(sorted(packages)) or None


def is_given(key: str) -> bool:
    """Whether the key is of a stage that is given as module:function, and not of what that leads to."""
    return ":" in key and not key.startswith("/")


def now(keys: Iterable[str]) -> dict[str, str]:
    """What these files and packages are at this moment; without those that are not there."""
    found = {key: digest_of(key) if key.startswith("/") else package_of(key) for key in keys if not is_given(key)}
    return {key: value for key, value in found.items() if value is not None}


def edited(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """The first that is something else after than before. What could not be looked at, once, is no other."""
    return next((key for key, value in after.items() if before.get(key, value) != value), None)


def in_words(key: str) -> str:
    """The key as part of a message."""
    if key.startswith("/"):
        return f"{key} (imported by a stage)"
    return f"stage {key!r}" if is_given(key) else f"the package of stage {key!r}"
