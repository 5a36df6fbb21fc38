"""The rules for adding a fault are kept by the registry itself."""

from __future__ import annotations

import pytest

from tests.support.origin import registry
from tests.support.origin.exchange import Exchange
from tests.support.origin.registry import BadCall, fault, find_fault


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_faults", {})


def test_arguments_are_converted_by_their_annotations() -> None:
    @fault("all-kinds")
    async def all_kinds(exchange: Exchange, name: str, seconds: float, times: int = 3) -> None:
        """A summary.

        More of it.
        """

    found, arguments = find_fault("/all-kinds/a%20b/0.5")
    assert arguments == ["a b", 0.5]
    assert found.usage == "all-kinds/NAME/SECONDS[/TIMES]"
    assert found.summary == "A summary."
    assert find_fault("/all-kinds/x/1/4")[1] == ["x", 1.0, 4]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/one", 400), ("/one/x", 400), ("/one/-1", 400), ("/one/1/2", 400), ("/one/1.5", 400), ("/two", 404), ("/", 404)],
)
def test_bad_calls(path: str, status: int) -> None:
    @fault("one")
    async def one(exchange: Exchange, times: int) -> None:
        """One argument."""

    with pytest.raises(BadCall) as raised:
        find_fault(path)
    assert raised.value.status == status


def test_a_name_is_given_once() -> None:
    async def play(exchange: Exchange) -> None:
        """Something."""

    fault("same")(play)
    with pytest.raises(ValueError, match="two faults are called same"):
        fault("same")(play)


def test_a_docstring_and_plain_types_are_asked_for() -> None:
    async def silent(exchange: Exchange) -> None: ...

    async def odd(exchange: Exchange, parts: list[str]) -> None:
        """Odd."""

    with pytest.raises(ValueError, match="docstring"):
        fault("silent")(silent)
    with pytest.raises(TypeError, match="parts must be"):
        fault("odd")(odd)
