"""A record's bytes: an outcome as one JSON object."""

from __future__ import annotations

import logging

import msgspec

from app.model.outcome import ErrorKind, Failure, Outcome

_log = logging.getLogger("percore.sinks")

_encoder = msgspec.json.Encoder()


def encode_record(outcome: Outcome) -> bytes:
    """The outcome as JSON, without a line end.

    One that can't be encoded (a `meta` nested too deeply) costs its own record, which then says so, and no other.
    """
    try:
        return _encoder.encode(outcome)
    except Exception as error:
        _log.exception("the record of request %d (%s) can't be encoded", outcome.index, outcome.url)
        return _encoder.encode(
            Outcome(
                index=outcome.index,
                id=outcome.id,
                url=outcome.url,
                ok=False,
                status=outcome.status,
                elapsed_s=outcome.elapsed_s,
                attempts=outcome.attempts,
                error=Failure(ErrorKind.INTERNAL_ERROR, f"the record can't be encoded: {type(error).__name__}"),
            )
        )
