"""Which stages there are, and how a name leads to one.

Three ways, in this order: a built-in; a plug-in of the entry point group `percore.stages`; and, only where
the caller says that it trusts its input (the command line, never the HTTP interface), `module:function`.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

from app.errors import UnknownStage
from app.stages.base import Stage
from app.stages.json import json
from app.stages.links import links
from app.stages.sha256 import sha256
from app.stages.text import text
from app.stages.title import title

_GROUP = "percore.stages"

_BUILT_IN = {built_in.name: built_in for built_in in (sha256, title, links, text, json)}


def names() -> list[str]:
    """Every registered name, built-ins first. Loads no plug-in."""
    plugged_in = {point.name for point in entry_points(group=_GROUP)}
    return [*_BUILT_IN, *sorted(plugged_in - _BUILT_IN.keys())]


def resolve(wanted: Iterable[str], *, import_paths: bool = False) -> tuple[Stage, ...]:
    """The stages called `wanted`, in that order.

    import_paths  whether `module:function` is imported too, from wherever sys.path leads
    Raises UnknownStage for a name that leads nowhere, or when two of them would write the same key.
    """
    stages = tuple(_find(name, import_paths) for name in wanted)
    seen: set[str] = set()
    for found in stages:
        if found.name in seen:
            raise UnknownStage(f"stage {found.name!r} is named twice")
        seen.add(found.name)
    return stages


def _find(name: str, import_paths: bool) -> Stage:
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    for point in entry_points(group=_GROUP, name=name):
        return _as_stage(name, _load(name, point.load))
    if import_paths and ":" in name:
        return _import(name)
    hint = ", or module:function" if import_paths else ""
    raise UnknownStage(f"no stage {name!r}; there are {', '.join(names())}{hint}")


def _import(path: str) -> Stage:
    module_name, _, attribute = path.partition(":")
    module = _load(path, lambda: importlib.import_module(module_name))
    found = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if found is None:
        where = getattr(module, "__file__", None) or "built in"
        raise UnknownStage(f"stage {path!r}: module {module_name!r} ({where}) has no {attribute!r}")
    return _as_stage(attribute, found)


def _load(name: str, load: Any) -> Any:
    """Call `load`; what somebody else's module raises while it is imported becomes one clear line."""
    try:
        return load()
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UnknownStage(
            f"stage {name!r} can't be imported: {what} ({place.filename}, line {place.lineno})"
        ) from error


def _as_stage(name: str, found: Any) -> Stage:
    if isinstance(found, Stage):
        return found
    if callable(found):
        return Stage(name, found)
    raise UnknownStage(f"stage {name!r} leads to a {type(found).__name__}, not to a function")
