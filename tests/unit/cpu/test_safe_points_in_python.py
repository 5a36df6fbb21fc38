"""Hazards of ending a slice inside of what the interpreter does: shown by the harm, or by who gets in between."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Generator
from pathlib import Path

import pytest

from app.cpu import no_preempt
from tests.support.between import Between


def test_ordinary_code_is_cut(between: Between) -> None:
    """Else the tests below would prove nothing."""
    assert between.run(between.tick) == {}
    assert between.was_cut


def test_the_collector(between: Between) -> None:
    """By a weak reference's callback: a plain function, which the stack does not tell from others."""

    class Cycle:
        def __init__(self) -> None:
            self.me = self

    def stage() -> None:
        cycle = Cycle()
        kept = weakref.ref(cycle, between.tick)
        del cycle
        gc.collect()
        assert kept() is None

    gc.collect()
    assert between.run(stage) == {"gc": 1}
    assert not between.was_cut


def test_a_finalizer(between: Between) -> None:
    class Closing:
        def __del__(self) -> None:
            between.tick()

    def stage() -> None:
        Closing()

    assert between.run(stage) == {"finalizer": 1}
    assert not between.was_cut


@pytest.mark.parametrize("method", ["__eq__", "__hash__"])
def test_a_lookup(between: Between, method: str) -> None:
    """A shared functools.lru_cache is destroyed by who comes in between: a crash, so this asks for the reason only."""

    class Key:
        def __eq__(self, other: object) -> bool:
            if method == "__eq__":
                between.tick()
            return True

        def __hash__(self) -> int:
            if method == "__hash__" and not between.order:
                between.tick()
            return 1

    assert between.run(lambda: {Key(): 1}.get(Key())) == {"lookup": 1}  # type: ignore[call-overload]
    assert not between.was_cut


def test_a_generator_that_is_being_closed(between: Between) -> None:
    """Who drops it does not hear of what it raises: a kill would be lost."""

    def closes() -> Generator[int, None, None]:
        try:
            yield 1
        finally:
            between.tick()

    def stage() -> None:
        next(closes())

    assert between.run(stage) == {"generator": 1}
    assert not between.was_cut


def test_a_container_that_is_being_written(between: Between) -> None:
    """The interpreter notes per thread what it is writing, and takes a second writer for a loop."""
    texts: list[str] = []

    class Item:
        def __repr__(self) -> str:
            if not between.order:
                between.tick()
            return "item"

    shared = [Item()]
    reasons = between.run(lambda: texts.append(repr(shared)), lambda: texts.append(repr(shared)))
    assert texts == ["[item]", "[item]"]
    assert reasons == {"repr": 1}


def test_an_import(between: Between, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "percore_half_done.py").write_text("import sys\nsys.percore_tick()\nvalue = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "percore_tick", between.tick, raising=False)

    def stage() -> None:
        import percore_half_done  # type: ignore[import-not-found]  # noqa: F401

    try:
        assert between.run(stage) == {"import": 1}
    finally:
        sys.modules.pop("percore_half_done", None)
    assert not between.was_cut


def test_a_generator_is_cut(between: Between) -> None:
    def numbers() -> Generator[int, None, None]:
        yield 1
        between.tick()
        yield 2

    assert between.run(lambda: sum(numbers())) == {}
    assert between.was_cut


def test_a_generator_that_is_shared_needs_no_preempt(between: Between) -> None:
    def numbers() -> Generator[int, None, None]:
        while True:
            if not between.order:
                between.tick()
            yield len(between.order)

    shared = numbers()

    def stage() -> None:
        with no_preempt():
            next(shared)

    assert between.run(stage, stage) == {"no_preempt": 1}
