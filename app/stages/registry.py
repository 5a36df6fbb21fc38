"""Which stages there are, and how a name leads to one.

Three ways, in this order: a built-in; a plug-in of the entry point group `percore.stages`; and, only where
the caller says that it trusts its input (the command line, never the HTTP interface), `module:function`. After each of
them `=TEXT` may follow, for a stage that takes an argument.

The law: a stage's module, and with it whatever library it needs, is imported when the stage is asked for by name: not
by a program that does not use it, and never while pages are being worked on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from app.errors import UnknownStage, UsageError
from app.files.sources import STAGE_GROUP
from app.stages.base import Stage
from app.stages.definition import takes_earlier
from app.stages.import_failure import import_failure
from app.stages.reference import check_reference, target_of
from app.stages.sources import LOADED

_NAMES = ("sha256", "title", "links", "text", "json", "language", "image", "simhash")
_BUILT_IN = {name: f"app.stages.{name}:{name}" for name in _NAMES}

# By name, what has been asked for: looking through all installed packages takes milliseconds.
_FOUND: dict[str, Stage] = {}


def names() -> list[str]:
    """Every registered name, built-ins first. Imports none of them."""
    plugged_in = {point.name for point in entry_points(group=STAGE_GROUP)}
    return [*_BUILT_IN, *sorted(plugged_in - _BUILT_IN.keys())]


def are_loaded(wanted: Iterable[str]) -> bool:
    """Whether `resolve` would import nothing for these."""
    return all(text.partition("=")[0] in _FOUND for text in wanted)


def resolve(wanted: Iterable[str], *, import_paths: bool = False) -> tuple[Stage, ...]:
    """The stages called `wanted`, in that order: each a name, or `name=argument`.

    import_paths  whether `module:function` is imported too, from wherever sys.path leads
    Raises UnknownStage for a name that leads nowhere or to several stages, a stage that can't be had or that refuses
    its argument, or when two of them would write the same key.
    """
    wanted = tuple(wanted)
    stages = tuple(_resolved(text, import_paths) for text in wanted)
    seen: dict[str, str] = {}
    for text, found in zip(wanted, stages, strict=True):
        if found.name in seen:
            also = "" if seen[found.name] == text else f", as {seen[found.name]} and as {text}"
            raise UnknownStage(f"stage {found.name!r} is named twice{also}; each has its own key in the record")
        seen[found.name] = text
    return stages


def _resolved(text: str, import_paths: bool) -> Stage:
    name, equals, argument = text.partition("=")
    found = _find(name, import_paths)
    try:
        return found.with_argument(argument) if equals else found
    except UsageError as error:
        raise UnknownStage(str(error)) from None


def _find(name: str, import_paths: bool) -> Stage:
    if name in _FOUND:
        return _FOUND[name]
    points = [point for point in entry_points(group=STAGE_GROUP) if point.name == name]
    if name in _BUILT_IN or points:
        found = _FOUND[name] = _registered(name, points)
        return found
    module, colon, function = name.partition(":")
    if import_paths and colon:
        if not module or not function:
            raise UnknownStage(f"stage {name!r} names no {'function' if module else 'module'}; write module:function")
        found = _as_stage(function, _load(name, lambda: target_of(name)))
        LOADED.note(module)
        return found
    hint = ", or module:function" if import_paths else ""
    raise UnknownStage(f"no stage {name!r}; there are {', '.join(names())}{hint}")


def _registered(name: str, points: list[EntryPoint]) -> Stage:
    origins = ["Percore itself"] if name in _BUILT_IN else []
    origins += [_origin_of(point) for point in points]
    if len(origins) > 1:
        raise UnknownStage(
            f"stage {name!r} is offered by {' and by '.join(origins)}; uninstall one of them, or name the one that "
            f"you mean as module:function on the command line"
        )
    if name in _BUILT_IN:
        return _as_stage(name, _load(name, lambda: target_of(_BUILT_IN[name])))
    # It is recorded under the name that it is registered under.
    found = _as_stage(name, _load(name, points[0].load, _origin_of(points[0]))).called(name)
    LOADED.note(points[0].module, name)
    return found


def _origin_of(point: EntryPoint) -> str:
    package = point.dist.name if point.dist is not None else "some package"
    return f"{package} ({point.value})"


def _load(name: str, load: Callable[[], Any], whose: str = "") -> Any:
    """Call `load`; what somebody else's module raises while it is imported becomes one clear line. whose: offers it."""
    try:
        return load()
    except UnknownStage as error:
        raise UnknownStage(f"stage {name!r}: {error}") from error
    except (Exception, SystemExit) as error:
        raise UnknownStage(f"stage {name!r} can't be imported: {import_failure(error, whose)}") from error


def _as_stage(name: str, found: Any) -> Stage:
    if not callable(found):
        raise UnknownStage(f"stage {name!r} leads to a {type(found).__name__}, not to a function")
    try:
        if not isinstance(found, Stage):
            return Stage(name, found, takes_earlier=takes_earlier(found))
        if found.reference:
            check_reference(found.reference, found.function)
    except UsageError as error:
        raise UnknownStage(str(error)) from error
    return found
