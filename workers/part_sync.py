"""Part sync: flushes the parts of the shards under way to the disk, so that a power failure costs a second at most.

The law: the hub never waits for the disk, and a flush never holds an append up: both go to the file by themselves. A
part is flushed only when something was appended to it, and at a shard's end by `JsonlPart.finish` in any case.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable

import gevent

from app.errors import OutputError
from app.files.reasons import reason_of
from app.sinks.jsonl import JsonlPart

_log = logging.getLogger("percore.batch")

# Twice a second, so that it is a second at most for disks that take half of one.
_EVERY_S = 0.5


class PartSync:
    """Flushes what `parts` returns: the parts that have something new since the last call."""

    def __init__(self, parts: Callable[[], Iterable[JsonlPart]]) -> None:
        self._parts = parts

    def run(self) -> None:
        """For ever. Yields to the hub; raises OutputError when the disk refuses."""
        while True:
            gevent.sleep(_EVERY_S)
            self.flush()

    def flush(self) -> None:
        """Flush once, now. Yields to the hub until it is done; raises OutputError."""
        descriptors: list[int] = []
        try:
            descriptors.extend(part.duplicate() for part in self._parts())
        except OSError as error:
            _close(descriptors)
            raise _refused(error) from error
        if not descriptors:
            return
        refusal = gevent.get_hub().threadpool.apply(_flush, (descriptors,))
        if refusal is not None:
            raise _refused(refusal) from refusal
        _log.debug("%d parts are on the disk", len(descriptors))


def _flush(descriptors: list[int]) -> OSError | None:
    """The error as a value: gevent prints what is raised in its threads."""
    found = None
    for descriptor in descriptors:
        try:
            os.fdatasync(descriptor)
        except OSError as error:
            found = error
        finally:
            os.close(descriptor)
    return found


def _refused(error: OSError) -> OutputError:
    return OutputError(f"can't flush records to the disk: {reason_of(error)}")


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
