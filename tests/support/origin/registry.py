"""The registry of faults: the first part of a path names one, the further parts are its arguments.

A fault is `async def play(exchange, ...)`. Its parameters after the exchange are the path's arguments, converted
by their annotations (str, int or float; numbers can't be negative); those with a default may be left out.
Its docstring says what goes over the wire.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

Play = Callable[..., Awaitable[None]]


class BadCall(Exception):
    """A path that names no fault, or gives it wrong arguments; answered by an honest 404 or 400."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Fault:
    """One registered fault: `usage` as in `ok[/LENGTH]`, `summary` is the docstring's first line."""

    name: str
    play: Play
    parameters: tuple[inspect.Parameter, ...]
    usage: str
    summary: str

    def arguments(self, texts: Sequence[str]) -> list[Any]:
        """The path's arguments, converted. Raises BadCall."""
        required = sum(parameter.default is inspect.Parameter.empty for parameter in self.parameters)
        if not required <= len(texts) <= len(self.parameters):
            raise BadCall(400, f"use it as /{self.usage}")
        return [self._convert(parameter, text) for parameter, text in zip(self.parameters, texts, strict=False)]

    def _convert(self, parameter: inspect.Parameter, text: str) -> Any:
        if parameter.annotation is str:
            return unquote(text)
        try:
            number = parameter.annotation(text)
        except ValueError:
            number = math.nan
        if not 0 <= number < math.inf:  # false for nan too
            raise BadCall(400, f"{parameter.name.upper()} of /{self.usage} can't be {text!r}")
        return number


_faults: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Play], Play]:
    """Registers the decorated function under `name`, the first part of the paths that reach it."""

    def register(play: Play) -> Play:
        if name in _faults:
            raise ValueError(f"two faults are called {name}")
        if not play.__doc__:
            raise ValueError(f"the fault {name} needs a docstring that says what goes over the wire")
        parameters = tuple(inspect.signature(play, eval_str=True).parameters.values())[1:]
        for parameter in parameters:
            if parameter.annotation not in (str, int, float):
                raise TypeError(f"{name}: {parameter.name} must be a str, int or float")
        usage = name + "".join(
            f"/{p.name.upper()}" if p.default is inspect.Parameter.empty else f"[/{p.name.upper()}]" for p in parameters
        )
        _faults[name] = Fault(name, play, parameters, usage, play.__doc__.splitlines()[0])
        return play

    return register


def find_fault(path: str) -> tuple[Fault, list[Any]]:
    """The fault that a path (without its query) asks for, and its arguments. Raises BadCall."""
    name, *texts = path.lstrip("/").split("/")
    found = _faults.get(name)
    if found is None:
        raise BadCall(404, f"no fault is called {name!r}; GET / lists them")
    return found, found.arguments(texts)


def all_faults() -> list[Fault]:
    """All faults, by name."""
    return [_faults[name] for name in sorted(_faults)]
