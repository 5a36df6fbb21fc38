"""Crew: the greenlets that take entries from a stream and hand back outcomes as they come.

The law: no more entries are taken than there are greenlets, and at most two outcomes are kept for each, so memory
follows the concurrency and never the length of the stream. A slow reader of outcomes slows the fetching.

Outcomes are handed over in lots: all that are ready when the reader looks. One switch then serves many of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

import gevent
from gevent import GreenletExit
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from app.errors import Draining
from app.model.outcome import Outcome
from app.model.request import Entry


def run_all(run: Callable[[Entry], Outcome], entries: Iterable[Entry], concurrency: int) -> Generator[list[Outcome]]:
    """Run `run` on every entry, `concurrency` at a time; yield lots of outcomes, in the order of completion.

    `entries` is pulled by one greenlet at a time and may itself wait on the hub. What it raises is raised here,
    after the outcomes that were ready. An entry whose `run` raises Draining has no outcome. Closing the iterator
    (or leaving a `for` over it) ends what is in flight, and those entries have no outcome. No lot is empty.
    """
    stream = iter(entries)
    turn = BoundedSemaphore(1)
    ready: list[Outcome] = []
    failures: list[BaseException] = []
    news = Event()  # something is ready, or a member has ended
    room = Event()
    room.set()
    active = concurrency

    def member() -> None:
        nonlocal active
        try:
            while True:
                with turn:
                    entry = next(stream, None)
                if entry is None:
                    return
                outcome = run(entry)
                # Not set while the reader is at the last lot, or one for each of us is ready: it waits in our hands.
                if not room.is_set():
                    room.wait()
                ready.append(outcome)
                if len(ready) >= concurrency:
                    room.clear()
                if not news.is_set():
                    news.set()
        except (Draining, GreenletExit):
            pass
        except BaseException as error:
            failures.append(error)
        finally:
            active -= 1
            news.set()

    members = [gevent.spawn(member) for _ in range(concurrency)]
    try:
        while True:
            if not ready:
                if failures:
                    raise failures[0]
                if not active:
                    return
                news.wait()
                news.clear()
                continue
            lot = ready
            ready = []
            room.clear()
            yield lot
            room.set()
    finally:
        gevent.killall(members)
