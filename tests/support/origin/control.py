"""The paths that steer the origin, all under `/_`. They answer in JSON and are never counted.

GET  /_counts            what `State.counts` returns
GET  /_hits?path=P       the last hits (at most state.HITS_KEPT in all), of one path or of any
POST /_open/NAME         opens that gate
GET  /_waiting/NAME?n=N  answers once N requests (default 1) wait at that gate
POST /_robots?text=T     what /robots.txt answers; or with play=PATH, as that path does
POST /_reset             forgets everything; lets go what waits
GET  /                   the list of faults, for people
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.origin.exchange import Exchange
from tests.support.origin.registry import BadCall, all_faults


def is_control(path: str) -> bool:
    return path == "/" or path.startswith("/_")


async def answer_control(exchange: Exchange) -> None:
    """Answers one of the paths above; any other gets 404. Raises BadCall."""
    asked = exchange.asked
    command, _, name = asked.path.removeprefix("/").partition("/")
    answer: Any = {}
    match asked.method, command:
        case "GET", "":
            lines = (f"/{fault.usage:34} {fault.summary}\n" for fault in all_faults())
            return await exchange.answer("".join(lines), content_type="text/plain; charset=utf-8")
        case "GET", "_counts":
            answer = exchange.state.counts()
        case "GET", "_hits":
            path = asked.query_value("path")
            answer = [hit for hit in exchange.state.hits if path in ("", hit["path"])]
        case "POST", "_open":
            exchange.state.gate(name).open()
        case "GET", "_waiting":
            least = asked.query_value("n", "1")
            if not least.isdigit():
                raise BadCall(400, f"n can't be {least!r}")
            gate = exchange.state.gate(name)
            await gate.wait_waiting(int(least))
            answer = {"waiting": gate.waiting}
        case "POST", "_robots":
            exchange.state.robots_text = asked.query_value("text")
            exchange.state.robots_play = asked.query_value("play")
        case "POST", "_reset":
            exchange.state.reset()
        case _:
            return await exchange.answer(f"no {asked.method} {asked.path} here\n", 404, "text/plain")
    await exchange.answer(json.dumps(answer), content_type="application/json")
