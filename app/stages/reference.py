"""Reference: `module:function`, both ways: what a function is called by, and what such a text leads to.

On the command line it is how users name stages of their own; another process is told no more of a function than this.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from app.errors import UnknownStage, UsageError
from app.stages.definition import name_of


def reference_of(function: Callable[..., Any]) -> str:
    """`module:function`, by which another process finds it.

    Raises UsageError for what it would not find: a lambda, a function inside another one, one of the program that was
    started (its module is called __main__, and is another one there).
    """
    shown = name_of(function)
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if not module or not name:
        raise UsageError(f"stage {shown} can't run in a process: it is no function of a module")
    if "<" in name:
        raise UsageError(
            f"stage {shown} can't run in a process, which could not find it again: define it with `def` at the top "
            f"of a module, not as a lambda or inside a function"
        )
    if module == "__main__":
        raise UsageError(
            f"stage {shown} can't run in a process, which could not find it again in the program that was started "
            f"(__main__): put it into a module of its own"
        )
    return f"{module}:{name}"


def target_of(reference: str) -> Any:
    """What `module:function` leads to; the module is imported from wherever sys.path leads.

    Raises what the import raises, and UnknownStage for a module that has no such thing.
    """
    module_name, _, path = reference.partition(":")
    module = importlib.import_module(module_name)
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise UnknownStage(f"module {module_name!r} ({_where(module)}) has no {path!r}")
    return found


def _where(module: ModuleType) -> str:
    if file := getattr(module, "__file__", None):
        return str(file)
    folders = list(getattr(module, "__path__", ()))
    if not folders:
        return "built in"
    # A namespace package, which any folder is: what is wanted may well be in a module of it.
    inside = f"name a module in it, as {module.__name__}.MODULE:FUNCTION"
    return f"a folder without __init__.py, {', '.join(folders)}: {inside}"


def check_reference(reference: str, function: Callable[..., Any]) -> None:
    """Raises UsageError when another process would find nothing by the reference, or something else than the function.

    Not to be asked while the module is still being imported.
    """
    shown = name_of(function)
    try:
        found = target_of(reference)
    except (ImportError, UnknownStage) as error:
        raise UsageError(f"stage {shown} can't run in a process, which could not find it: {error}") from None
    if getattr(found, "function", found) is not function:
        raise UsageError(
            f"stage {shown} can't run in a process: there, {reference} leads to something else; "
            f"give each function of that module a name of its own"
        )
