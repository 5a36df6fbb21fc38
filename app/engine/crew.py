"""Crew: the greenlets that take entries from a stream and hand back outcomes as they come.

The law: no more entries are taken than there are greenlets, and at most two outcomes are kept for each, so memory
follows the concurrency and never the length of the stream. A slow reader of outcomes slows the fetching.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

import gevent
from gevent import GreenletExit
from gevent.lock import BoundedSemaphore
from gevent.queue import Queue

from app.errors import Draining
from app.model.outcome import Outcome
from app.model.request import Entry

_Handed = Outcome | BaseException | None


def run_all(run: Callable[[Entry], Outcome], entries: Iterable[Entry], concurrency: int) -> Generator[Outcome]:
    """Run `run` on every entry, `concurrency` at a time; yield the outcomes in the order of completion.

    `entries` is pulled by one greenlet at a time and may itself wait on the hub. What it raises is raised here,
    after the outcomes that were ready. An entry whose `run` raises Draining has no outcome. Closing the iterator
    (or leaving a `for` over it) ends what is in flight, and those entries have no outcome.
    """
    stream = iter(entries)
    turn = BoundedSemaphore(1)
    handed: Queue[_Handed] = Queue(maxsize=concurrency)

    def member() -> None:
        try:
            while True:
                with turn:
                    entry = next(stream, None)
                if entry is None:
                    return
                handed.put(run(entry))
        except (Draining, GreenletExit):
            pass
        except BaseException as error:
            handed.put(error)
        finally:
            # Not after a kill: nobody reads any more, and a full queue would hold this greenlet for ever.
            if not closing:
                handed.put(None)

    closing = False
    members = [gevent.spawn(member) for _ in range(concurrency)]
    try:
        active = len(members)
        while active:
            outcome = handed.get()
            if outcome is None:
                active -= 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield outcome
    finally:
        closing = True
        gevent.killall(members)
