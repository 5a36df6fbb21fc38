"""POST /v1/fetch: one request and its record, or a list and its records, each sent as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing

import falcon

from app.api.body import read_json_body
from app.api.schemas import Call, parse_call
from app.engine.advisor import Advisor
from app.engine.caller import until_gone
from app.engine.engine import Engine
from app.model.outcome import Outcome
from app.settings import Settings
from app.sinks.record import encode_record


class FetchResource:
    """engine    this worker's, shared by all calls
    settings  bounds and defaults of a call
    note      told of each record that is given out
    """

    def __init__(self, engine: Engine, settings: Settings, note: Callable[[Outcome], None]) -> None:
        self._engine = engine
        self._settings = settings
        self._note = note
        self._advisor = Advisor(engine.stage_uses, settings.slice_ms / 1000)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Raises Problem before anything is fetched, CallerGone when nobody waits for the answer any more."""
        call = parse_call(read_json_body(request), self._settings)
        outcomes = self._run(call, request)
        if call.is_single:
            with closing(outcomes):
                response.data = next(self._lines(outcomes))
            response.content_type = falcon.MEDIA_JSON
        else:
            response.content_type = "application/x-ndjson"
            # nginx would collect some records before it hands them on.
            response.set_header("X-Accel-Buffering", "no")
            response.stream = self._lines(outcomes)

    def _run(self, call: Call, request: falcon.Request) -> Generator[Outcome]:
        if call.stages:
            self._advisor.watch()
        outcomes = self._engine.run(
            call.entries(), stages=call.stages, options=call.options, at_once=len(call.requests)
        )
        # gunicorn's servers hand their socket on; under another one, a caller that left is noticed at the next write.
        connection = request.env.get("gunicorn.sock")
        return outcomes if connection is None else until_gone(outcomes, connection)

    def _lines(self, outcomes: Generator[Outcome]) -> Iterator[bytes]:
        """A record a line. The server closes this when it can't write any more, and with it what is in flight."""
        with closing(outcomes):
            for outcome in outcomes:
                self._note(outcome)
                yield encode_record(outcome) + b"\n"
