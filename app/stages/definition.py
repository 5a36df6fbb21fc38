"""Definition: what a function must be like to be a stage, asked once, when it is made one.

The law: what would fail on every page fails here, before anything is fetched, with a UsageError that names the
function and says what to change.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from app.errors import UsageError

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

# A second parameter of this name gets the earlier values, also if it has a default.
_EARLIER = "earlier"

ARGUMENT = "argument"


def takes_earlier(function: Callable[..., Any], *, has_argument: bool = False) -> bool:
    """Whether a stage's function takes the values of the stages before it, besides the page.

    It does by a second positional parameter that has no default, or that is called `earlier`.
    has_argument  whether it will be given the keyword `argument`
    Raises UsageError for a function that can't be called with a page, or that gives no value but a coroutine or a
    generator.
    """
    shown = name_of(function)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(f"stage {shown} is an `async def`; a stage is a plain function, and may wait as it is")
    if inspect.isgeneratorfunction(function):
        raise UsageError(f"stage {shown} is a generator; a stage returns its value (a list, say)")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return False  # some of those written in C tell nothing
    positional = [one for one in parameters if one.kind in _POSITIONAL]
    takes_any = any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters)
    if not positional and not takes_any:
        raise UsageError(f"stage {shown} takes no page; write it as `def {_plain(shown)}(page): ...`")
    second = positional[1] if len(positional) > 1 else None
    given = {ARGUMENT} if has_argument else set()
    # Parameters beyond the second, and keywords, that nobody will give.
    missing = [
        one.name
        for one in parameters
        if one.default is inspect.Parameter.empty
        and one.name not in given
        and (one in positional[2:] or one.kind is inspect.Parameter.KEYWORD_ONLY)
    ]
    if missing:
        raise UsageError(
            f"stage {shown} wants {', '.join(missing)} too; a stage is given the page and, if it has a second "
            f"parameter, the earlier values"
        )
    return second is not None and (second.default is inspect.Parameter.empty or second.name == _EARLIER)


def name_of(function: object) -> str:
    """For messages: `module.function`, or the type's name for what has none."""
    name = getattr(function, "__qualname__", None)
    if name is None:
        return type(function).__name__
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else str(name)


def _plain(shown: str) -> str:
    last = shown.rpartition(".")[2]
    return last if last.isidentifier() else "score"
