"""A record's bytes: an outcome as one JSON object."""

from __future__ import annotations

import logging

import msgspec

from app.model.outcome import ErrorKind, Failure, Outcome

_log = logging.getLogger("percore.sinks")

_encoder = msgspec.json.Encoder()


def append_record(outcome: Outcome, lines: bytearray) -> None:
    """Put the outcome at the end of `lines`, as JSON with a line end.

    One that can't be encoded (a `meta` nested too deeply) costs its own record, which then says so, and no other.
    """
    begin = len(lines)
    try:
        _encoder.encode_into(outcome, lines, begin)
    except Exception as error:
        _log.exception("the record of request %d (%s) can't be encoded", outcome.index, outcome.url)
        # What is behind `begin` by now is overwritten, or cut off.
        _encoder.encode_into(
            Outcome(
                index=outcome.index,
                id=outcome.id,
                url=outcome.url,
                ok=False,
                status=outcome.status,
                elapsed_s=outcome.elapsed_s,
                attempts=outcome.attempts,
                error=Failure(ErrorKind.INTERNAL_ERROR, f"the record can't be encoded: {type(error).__name__}"),
            ),
            lines,
            begin,
        )
    lines += b"\n"


def encode_record(outcome: Outcome) -> bytes:
    """The outcome as JSON, without a line end; see `append_record`."""
    line = bytearray()
    append_record(outcome, line)
    return bytes(line[:-1])
