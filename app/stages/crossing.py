"""Crossing: how a page reaches a stage that runs in another process, and how the stage's value comes back.

The law: bytes cross, never objects. The page is its status, URL, head, decoded body and the URLs that led to it; over
there it is made again, as lazily as here. Nothing is pickled: what a stage hung on a page (`memo`, a parsed tree,
headers of its own) stays where it was, and so does what only a connection knows (the request's headers and body). An
encoding that a stage set does cross, since `text` depends on it.

A page crosses to the same stage: over there its module is imported later than here, and may have been edited between.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import requests

from app.cpu.isolated_child import Unfit
from app.fetching.answer import Answer
from app.fetching.page import Page
from app.files.sources import in_words
from app.model.timing import Timing
from app.stages.base import Stage
from app.stages.definition import takes_earlier
from app.stages.reference import target_of
from app.stages.sources import LOADED, Sameness
from app.stages.values import Earlier, encoded

_LENGTH_BYTES = 4

# What an isolated process is told to call, with `argument_of(...)`.
CALL = "app.stages.crossing:call"

_LINE_BREAKS = re.compile(r"[\r\n]+")

# Mutable, of an isolated process.
_sameness = Sameness()

_NO_TIMING = Timing(0.0, 0.0, 0.0, 0.0, 0.0, False, "")


class EditedStage(Unfit):
    """What this process has imported is not what the one has that sent the page."""


class _Hop(msgspec.Struct, frozen=True, array_like=True):
    status: int
    url: str
    head: tuple[bytes, ...]


class _Crossing(msgspec.Struct, frozen=True, array_like=True):
    """encoding: one that was set on the page by hand, "" for none. earlier: the lengths of the values, in bytes.
    sources: of the stages here, packed.
    """

    reference: str
    argument: str | None
    page: _Hop
    method: str
    encoding: str
    elapsed_s: float
    history: tuple[_Hop, ...]
    earlier: dict[str, int]
    sources: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Crossing)


def argument_of(stage: Stage, page: Page, earlier: Mapping[str, Any]) -> tuple[bytes | memoryview, ...]:
    """What `call` needs to run that stage on that page, in parts. Does not yield, and copies neither the body nor what
    `Earlier` holds: that would hold the hub for some ms where they are large.
    """
    values = _sendable(earlier)
    crossing = _encoder.encode(
        _Crossing(
            stage.reference,
            stage.argument,
            _hop_of(page),
            _method_of(page),
            vars(page).get("encoding") or "",
            page.elapsed.total_seconds(),
            tuple(_hop_of(hop) for hop in page.history),
            {name: len(value) for name, value in values.items()},
            LOADED.packed,
        )
    )
    # Those stand behind as they are: an encoder would copy each several times.
    return len(crossing).to_bytes(_LENGTH_BYTES) + crossing, *values.values(), page.body


def call(argument: bytes | memoryview) -> bytes:
    """In the other process: run the stage; returns its value as JSON.

    Raises what the stage raises, TypeError for a value that is no JSON, UnknownStage when its reference leads nowhere;
    EditedStage.
    """
    data = memoryview(argument)
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES])
    crossing = _decoder.decode(data[_LENGTH_BYTES:end])
    earlier = {}
    for name, length in crossing.earlier.items():
        earlier[name] = bytes(data[end : end + length])
        end += length
    stage = _stage_at(crossing.reference)
    if (edited := _sameness.edited(crossing.sources)) is not None:
        raise EditedStage(
            f"{in_words(edited)} was edited after the stage was loaded, and new values don't go with old ones: undo "
            f"that, or begin anew"
        )
    if crossing.argument is not None:
        stage = stage.with_argument(crossing.argument)
    return bytes(encoded(stage.value_of(_page_of(crossing, bytes(data[end:])), Earlier(earlier))))


def _stage_at(reference: str) -> Stage:
    found = target_of(reference)
    return found if isinstance(found, Stage) else Stage(reference, found, takes_earlier=takes_earlier(found))


def _sendable(earlier: Mapping[str, Any]) -> dict[str, memoryview]:
    if not isinstance(earlier, Earlier):
        earlier = Earlier({name: encoded(value) for name, value in earlier.items()})
    return earlier.as_json()


def _hop_of(page: requests.Response) -> _Hop:
    return _Hop(page.status_code, page.url or "", _head_of(page))


def _head_of(page: requests.Response) -> tuple[bytes, ...]:
    """The head as it came; written anew for a page that another transport brought."""
    answer: Answer | None = vars(page).get("_answer")
    if answer is not None:
        return tuple(answer.head)
    lines = [f"HTTP/1.1 {page.status_code} {page.reason or ''}", *(f"{n}: {v}" for n, v in page.headers.items()), ""]
    return tuple(_LINE_BREAKS.sub(" ", line).encode("latin-1", "replace") + b"\r\n" for line in lines)


def _method_of(page: Page) -> str:
    made = vars(page)
    if "_method" in made:
        return str(made["_method"])
    request = made.get("request")
    return (getattr(request, "method", None) or "GET").upper()


def _page_of(crossing: _Crossing, body: bytes) -> Page:
    page = _bare(crossing.page, crossing.method, body)
    page.history = [_bare(hop, crossing.method, b"") for hop in crossing.history]
    page.elapsed = timedelta(seconds=crossing.elapsed_s)
    if crossing.encoding:
        page.encoding = crossing.encoding
    return page


def _bare(hop: _Hop, method: str, body: bytes) -> Page:
    answer = Answer(hop.head, body, None, _NO_TIMING)
    return Page.of_answer(answer, method, hop.url, lambda: requests.Request(method, hop.url).prepare())
