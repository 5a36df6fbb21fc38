from __future__ import annotations

import contextlib
import json as standard_json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UnknownStage
from app.stages.json import json
from app.stages.registry import resolve
from app.stages.testing import make_page

_BODY = '{"items": [{"id": 3, "tags": ["a", "b"], "x": {"y": 1}}, {"id": 1, "tags": []}], "a=b": "é"}'


def _ask(expression: str, body: str = _BODY) -> Any:
    (stage,) = resolve([f"json={expression}"])
    assert stage.name == f"json={expression}"
    return stage.value_of(make_page(body), {})


def test_json() -> None:
    assert json(make_page(' {"a": [1, null, "é"]} ')) == {"a": [1, None, "é"]}
    with pytest.raises(msgspec.DecodeError, match="byte 5"):
        json(make_page('{"a":}'))


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=20))
def test_json_reads_what_json_writes(value: Any) -> None:
    assert json(make_page(standard_json.dumps(value))) == value


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("items[0].id", 3),
        ("items[*].id", [3, 1]),
        ("sort_by(items, &id)[0].tags", []),
        ("items[?id == `3`].{n: length(tags), y: x.y} | [0]", {"n": 2, "y": 1}),
        ('"a=b"', "é"),
        ("missing.path", None),
        ("@", standard_json.loads(_BODY)),
        ("length(items) == `2` && !missing", True),
        ("items[::-1].id", [1, 3]),
        ("items[].tags[]", ["a", "b"]),
        ("map(&id, items)", [3, 1]),
    ],
)
def test_expressions(expression: str, expected: Any) -> None:
    assert _ask(expression) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "stage json='': Invalid JMESPath expression: cannot be empty"),
        ("items[", "stage json='items\\['"),
        ("a b", "Unexpected token"),
        ("nonsense(@)", r"no function nonsense\(\)"),
        ("[*].{x: deep(@)}", r"no function deep\(\)"),
        ("(" * 900, "json="),
        ("|".join(["[@,@]"] * 7), "more than 100 times"),
        ("[" + ",".join(["[@,@,@,@,@,@,@]"] * 15) + "]", "more than 100 times"),
        ("to_string([@,@]|[@,@]|[@,@]|[@,@]|[@,@]|[@,@]|[@,@])", "more than 100 times"),
        ("map(&map(&[@,@,@,@,@,@], @), [@,@,@,@,@]) | [@,@,@,@,@,@,@,@,@,@]", "more than 100 times"),
    ],
)
def test_expressions_that_are_refused_before_anything_is_fetched(expression: str, message: str) -> None:
    with pytest.raises(UnknownStage, match=message) as caught:
        resolve([f"json={expression}"])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_what_an_expression_makes_is_bounded() -> None:
    few = "map(&`" + standard_json.dumps("x" * 500) + "`, @)"
    assert len(_ask(few, "[1,2,3]")) == 3
    with pytest.raises(ValueError, match="more than 20 times as much as the body holds"):
        _ask(few, "[" + ",".join(["1"] * 10_000) + "]")


def test_a_function_that_meets_another_type() -> None:
    with pytest.raises(ValueError, match="invalid type for value"):
        _ask("sum(items)")


_WORDS = st.sampled_from(
    ["a", "items", "[0]", "[*]", "|", ".", "{x: a}", "[?a]", "`1`", "&&", "!", "@", "length(@)", "(", "'x'"]
)


@given(st.lists(_WORDS, max_size=12).map("".join), st.sampled_from([_BODY, "[]", "null", "1", '[[[1]], {"a": null}]']))
def test_any_expression_is_answered_or_refused(expression: str, body: str) -> None:
    with contextlib.suppress(UnknownStage, ValueError):
        msgspec.json.encode(_ask(expression, body))
