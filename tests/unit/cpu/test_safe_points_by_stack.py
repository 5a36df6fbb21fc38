"""What is said of a stack: code is known by its file, hazards are found at any depth, deep frames looked at once."""

from __future__ import annotations

import importlib
import sys
import threading
import weakref
from collections.abc import Callable, Generator

import pytest

from app.cpu.safe_points import SafePoints


def boundary(function: Callable[[], object]) -> object:
    return function()


@pytest.mark.parametrize(
    ("module", "hazard"),
    [
        ("importlib.util", "import"),
        ("_weakrefset", "weakref"),
        ("_pyio", "io"),
        ("socket", "io"),
        ("ssl", "io"),
        ("greenlet", "gevent"),
        ("app.cpu.scheduler", "percore"),
        ("app.hub.per_hub", "percore"),
        ("app.fetching.hub_curl", "percore"),
        ("workers.drain", "percore"),
        ("app.policy.feedback", None),
        ("json.decoder", None),
    ],
)
def test_code_is_known_by_its_file(module: str, hazard: str | None) -> None:
    points = SafePoints(boundary.__code__)
    found: list[str | None] = []
    filename = str(importlib.import_module(module).__file__)
    code = compile("look()", filename, "exec")
    boundary(lambda: exec(code, {"look": lambda: found.append(points.hazard(sys._getframe()))}))
    assert found == [hazard]


def unsafe(function: Callable[[], object]) -> object:
    return threading.Thread(target=function).run()  # type: ignore[func-returns-value]


def dive(depth: int, function: Callable[[], object]) -> object:
    return dive(depth - 1, function) if depth else function()


@pytest.mark.parametrize("below", [0, 1, 63, 64, 65, 200, 500])
@pytest.mark.parametrize("above", [0, 1, 63, 64, 65, 200])
def test_a_hazard_is_found_at_any_depth_again_and_again(below: int, above: int) -> None:
    points = SafePoints(boundary.__code__)
    found: list[str | None] = []

    def look() -> None:
        found.append(points.hazard(sys._getframe()))

    def look_twice() -> None:
        look()
        dive(40, look)

    boundary(lambda: (dive(100, look), dive(below, lambda: unsafe(lambda: dive(above, look_twice))), dive(100, look)))
    assert found == [None, "threading", "threading", None]


def test_a_generator_s_callers_are_looked_at_again() -> None:
    """It may have been taken up by somebody else since."""
    points = SafePoints(boundary.__code__)
    found: list[str | None] = []

    def chain(depth: int) -> Generator[None, None, None]:
        inner = chain(depth - 1) if depth else None
        for _ in range(2):
            if inner is None:
                dive(70, lambda: found.append(points.hazard(sys._getframe())))
            else:
                next(inner)
            yield

    running = chain(200)
    boundary(lambda: next(running))
    boundary(lambda: unsafe(lambda: next(running)))
    assert found == [None, "threading"]


def test_deep_frames_are_looked_at_once() -> None:
    points = SafePoints(boundary.__code__)
    looked: list[int] = []

    class Counting(dict[int, object]):
        def get(self, key: int, default: object = None) -> object:
            looked[-1] += 1
            return super().get(key, default)

    def look() -> None:
        for _ in range(2):
            looked.append(0)
            assert points.hazard(sys._getframe()) is None

    points._verdicts = Counting()  # type: ignore[assignment]
    boundary(lambda: dive(900, look))
    first, second = looked
    assert first > 900
    assert second < 150


def test_marks_keep_nothing_alive() -> None:
    points = SafePoints(boundary.__code__)

    class Thing:
        pass

    kept: list[weakref.ref[Thing]] = []

    def holds(depth: int) -> None:
        thing = Thing()
        kept.append(weakref.ref(thing))
        if depth:
            holds(depth - 1)
        else:
            assert points.hazard(sys._getframe()) is None

    boundary(lambda: holds(300))
    assert [one() for one in kept] == [None] * 301
