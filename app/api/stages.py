"""GET /v1/stages: the stages that a call may name."""

from __future__ import annotations

import logging
from functools import cached_property

import falcon
import msgspec

from app.errors import UnknownStage
from app.stages.registry import names, resolve

_log = logging.getLogger("percore.api")


class StageItem(msgspec.Struct, frozen=True):
    """doc: the first line of the function's docstring, "" without one."""

    name: str
    doc: str


class StagesResource:
    """The list is made at the first call, since that imports every plug-in, and kept."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.data = self._body

    on_head = on_get

    @cached_property
    def _body(self) -> bytes:
        return msgspec.json.encode([item for name in names() if (item := _item(name)) is not None])


def _item(name: str) -> StageItem | None:
    try:
        (found,) = resolve([name])
    except UnknownStage as error:
        _log.warning("%s; it is left out of the list", error)
        return None
    return StageItem(name, found.summary)
