"""Roundabout ways to call something."""

from __future__ import annotations

import contextlib
import contextvars
import re
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any


def _plainly(call: Callable[[], Any]) -> Any:
    return call()


def _in_a_generator(call: Callable[[], Any]) -> Any:
    def generate() -> Generator[Any, None, None]:
        yield call()

    return next(x for x in generate())


def _deep_down(call: Callable[[], Any], depth: int = 150) -> Any:
    return call() if not depth else _deep_down(call, depth - 1)


def _in_a_context(call: Callable[[], Any]) -> Any:
    return contextvars.copy_context().run(call)


def _in_a_sort(call: Callable[[], Any]) -> Any:
    found: list[Any] = []

    def key(number: int) -> int:
        if number == 2:
            found.append(call())
        return -number

    assert sorted([1, 2, 3], key=key) == [3, 2, 1]
    return found[0]


def _while_handling(call: Callable[[], Any]) -> Any:
    try:
        raise KeyError("outer")
    except KeyError as error:
        value = call()
        is_same = sys.exc_info()[1] is error
    assert is_same
    assert sys.exc_info()[1] is None
    return value


def _in_a_substitution(call: Callable[[], Any]) -> Any:
    found: list[Any] = []
    re.sub("b", lambda _: found.append(call()) or "x", "abc")
    return found[0]


async def _coroutine(call: Callable[[], Any]) -> Any:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    async for _ in numbers():
        value = call()
    return value


def _in_a_coroutine(call: Callable[[], Any]) -> Any:
    running = _coroutine(call)
    try:
        running.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits for nobody")


def _in_a_context_manager(call: Callable[[], Any]) -> Any:
    @contextlib.contextmanager
    def around() -> Iterator[None]:
        try:
            yield
        finally:
            sum(range(50))

    with around(), around():
        return call()


WAYS: list[Callable[[Callable[[], Any]], Any]] = [
    _plainly,
    _plainly,
    _in_a_generator,
    _deep_down,
    _in_a_context,
    _in_a_sort,
    _while_handling,
    _in_a_substitution,
    _in_a_coroutine,
    _in_a_context_manager,
]
