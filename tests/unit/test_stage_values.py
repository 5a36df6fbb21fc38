from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stages.values import Earlier, encoded

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_JSON)
def test_json_comes_back_as_it_was(value: Any) -> None:
    assert Earlier({"v": encoded(value)})["v"] == value


def _held_by_itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "value is a object"),
        ({"a": [1, {"b": 1j}]}, r"value\['a'\]\[1\]\['b'\] is a complex"),
        ([1, ("x", object())], r"value\[1\]\[1\] is a object"),
        ({(1, 2): 3}, r"value has the key \(1, 2\), a tuple"),
        (["fine", "\ud800"], r"value\[1\] is a string with a lone surrogate"),
        ({"\ud800": 1}, r"value has the key"),
        ((one for one in "ab"), "value is a generator"),
        (_held_by_itself(), "nested too deeply, or holds itself"),
    ],
)
def test_what_is_no_json_is_said_where(value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        encoded(value)
    str(caught.value).encode("utf-8", "strict")


def test_what_json_does_not_know_but_msgspec_does() -> None:
    value = {"set": {1}, "bytes": b"ab", "nan": math.nan, "tuple": (1, 2), 3: "key"}
    assert Earlier({"v": encoded(value)})["v"] == {
        "set": [1], "bytes": "YWI=", "nan": None, "tuple": [1, 2], "3": "key",
    }  # fmt: skip


def test_the_earlier_values_are_read_only_and_a_view() -> None:
    ran: dict[str, msgspec.Raw | bytes] = {"title": encoded("T")}
    earlier = Earlier(ran)
    ran["links"] = encoded(["a"])
    assert (list(earlier), len(earlier), "links" in earlier, earlier.get("none")) == (["title", "links"], 2, True, None)
    earlier["links"].append("b")
    assert earlier["links"] == ["a"]
    with pytest.raises(TypeError):
        earlier["x"] = 1  # type: ignore[index]
    with pytest.raises(KeyError, match="no stage 'text' ran on this page before this one; those that did: title"):
        earlier["text"]
    assert earlier.as_json() == {"title": b'"T"', "links": b'["a"]'}
    assert repr(earlier) == "Earlier(title, links)"
