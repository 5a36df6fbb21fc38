"""Stage sources: by what the code of a job's stages is known again, in a parent that imports none of it.

Of a stage given as `module:function` that is the file of its module, which is looked for as the import system would.
What that imports in turn, and which package has registered a stage, children tell once they have imported it
(app.stages.sources); from then on it is looked at here, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder

from app.errors import UsageError
from app.files.sources import digest_of, edited, in_words, is_given, now


def stage_sources(stages: Iterable[str]) -> dict[str, str]:
    """By `module:function`, the SHA-256 of its module's file in hexadecimal, as children find it from the current
    folder. What can't be found or read is left out: children say what is wrong with it.
    """
    references = {stage.partition("=")[0] for stage in stages if is_given(stage.partition("=")[0])}
    found = {reference: _digest(reference.partition(":")[0]) for reference in sorted(references)}
    return {reference: digest for reference, digest in found.items() if digest is not None}


def check_sources(sources: Mapping[str, str]) -> None:
    """Raises UsageError when something of `sources` is another one now."""
    check_same(sources, stage_sources(sources) | now(sources))


def check_same(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Raises UsageError when something is another one after than before."""
    if (key := edited(before, after)) is not None:
        raise UsageError(
            f"{in_words(key)} was edited while the run was under way, and new values don't go with old ones: "
            f"undo that, or begin anew with --fresh"
        )


def _digest(module: str) -> str | None:
    try:
        spec = _spec(module)
    except (OSError, ValueError, ImportError):
        return None
    return digest_of(spec.origin) if spec is not None and spec.has_location and spec.origin is not None else None


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
