"""Stage sources: by what the code of a stage given as `module:function` is known again.

It is the file of its module, and that alone: not what this imports. The module is looked for and not imported, since
nobody's code runs in a batch's parent. Stages by name belong to a package, which has a version.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from app.errors import UsageError


def stage_sources(stages: Iterable[str]) -> dict[str, str]:
    """By `module:function`, the SHA-256 of its module's file in hexadecimal, as children find it from the current
    folder. What can't be found or read is left out: children say what is wrong with it.
    """
    references = {stage.partition("=")[0] for stage in stages if ":" in stage.partition("=")[0]}
    found = {reference: _digest(reference.partition(":")[0]) for reference in sorted(references)}
    return {reference: digest for reference, digest in found.items() if digest is not None}


def edited(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """The first stage that has other code now. What could not be looked at, once, is no other."""
    return next((reference for reference, digest in now.items() if before.get(reference, digest) != digest), None)


def check_sources(sources: Mapping[str, str]) -> None:
    """Raises UsageError when one of the stages of `sources` has other code now."""
    if reference := edited(sources, stage_sources(sources)):
        raise UsageError(
            f"stage {reference!r} was edited while the run was under way, and new values don't go with old ones: "
            f"undo that, or begin anew with --fresh"
        )


def _digest(module: str) -> str | None:
    try:
        spec = _spec(module)
        if spec is None or not spec.has_location or spec.origin is None:
            return None
        return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
    except (OSError, ValueError, ImportError):
        return None


def _spec(module: str) -> ModuleSpec | None:
    """Where the import system would find it. Unlike importlib's `find_spec` it imports no package for that."""
    first, *others = module.split(".")
    # From the current folder last: workers.batch_child puts it there.
    spec = _asked(first, None) or PathFinder.find_spec(first, [os.getcwd()])
    name = first
    for other in others:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{other}"
        spec = _asked(name, list(spec.submodule_search_locations))
    return spec


def _asked(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    specs = (finder.find_spec(name, path) for finder in sys.meta_path)
    return next((spec for spec in specs if spec is not None), None)
