"""Values: what a stage may return, and what the stages after it see of that.

The law: a value is what a reader of the record would get, wherever the stage ran: it is encoded as JSON once, when the
stage returns, and a later stage that asks for it gets it decoded. So a tuple is seen as a list, and nobody can change
what will be recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec


def encoded(value: Any) -> msgspec.Raw:
    """A stage's value as JSON (RFC 8259).

    Besides what JSON knows, msgspec writes dates, UUIDs, enums and decimals as strings, bytes as base64, sets as lists,
    dataclasses and structs as objects, and a float that is no number as null.
    Raises TypeError that says where in the value what stands that is none of these.
    """
    try:
        return msgspec.Raw(msgspec.json.encode(value))
    except RecursionError:
        raise TypeError("the value is no JSON: it is nested too deeply, or holds itself") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"the value is no JSON: {_fault_of(value, 'value') or error}") from None


class Earlier(Mapping[str, Any]):
    """The values of the stages that have run on this page, by name, in the order that they ran. Read-only.

    It is a view: what is added to `encoded` is seen here. A value is decoded each time it is asked for, so what a
    stage does to it is nobody else's affair.
    """

    __slots__ = ("_encoded",)

    def __init__(self, encoded: Mapping[str, msgspec.Raw | bytes]) -> None:
        self._encoded = encoded

    def __getitem__(self, name: str) -> Any:
        try:
            value = self._encoded[name]
        except KeyError:
            ran = ", ".join(self._encoded) or "none"
            raise KeyError(f"no stage {name!r} ran on this page before this one; those that did: {ran}") from None
        return msgspec.json.decode(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._encoded)

    def __len__(self) -> int:
        return len(self._encoded)

    def __repr__(self) -> str:
        return f"Earlier({', '.join(self._encoded)})"

    def as_json(self) -> dict[str, memoryview]:
        """Name -> JSON, to be sent elsewhere. Nothing is copied."""
        return {name: memoryview(value) for name, value in self._encoded.items()}


def _fault_of(value: Any, place: str) -> str:
    """Where in `value` stands what, in words; "" if nothing is found."""
    inside: list[tuple[Any, str]] = []
    if isinstance(value, dict):
        for key, item in value.items():
            if _error_of({key: None}):
                return f"{place} has the key {key!r:.80}, a {type(key).__name__}"
            inside.append((item, f"{place}[{key!r:.80}]"))
    elif isinstance(value, list | tuple):
        inside = [(item, f"{place}[{number}]") for number, item in enumerate(value)]
    for item, where in inside:
        if _error_of(item):
            return _fault_of(item, where)
    if isinstance(value, str):
        return f"{place} is a string with a lone surrogate, which is no text: {value!a:.80}"
    return f"{place} is a {type(value).__name__} ({_error_of(value)})"


def _error_of(value: Any) -> str:
    try:
        msgspec.json.encode(value)
    except Exception as error:
        return str(error)
    return ""
