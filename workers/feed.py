"""Feed: the thread that reads the input and cuts it into shards, a few ahead of the children.

A thread, because the input may be a pipe that waits; the parent's loop must not wait with it. It is a daemon: a
read that never returns does not keep the process alive.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from app.errors import PercoreError
from app.files.reasons import reason_of
from app.policy.sharding import Shard


class Feed:
    """Shards in input order. `take` never waits; `fileno()` is readable when there may be something new.

    shards    cut lazily from the input, in the thread
    finished  counts of a shard's records when an earlier run finished it, else None; asked in the thread
    is_entry  whether a line will have a record
    ahead     shards kept ready
    """

    def __init__(
        self,
        shards: Iterable[Shard],
        *,
        finished: Callable[[int], Counter[str] | None],
        is_entry: Callable[[bytes], bool],
        ahead: int,
    ) -> None:
        self._ready: queue.Queue[Shard | PercoreError | None] = queue.Queue(maxsize=ahead)
        self._skipped: queue.SimpleQueue[tuple[int, Counter[str]]] = queue.SimpleQueue()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._finished = finished
        self._is_entry = is_entry
        self.shards_seen = 0
        self.lines_seen = 0
        self.empty_shards: set[int] = set()  # numbers of those without any entry; they have no file
        self.entries_seen = 0
        self.is_exhausted = False
        threading.Thread(target=self._read, args=(iter(shards),), name="feed", daemon=True).start()

    def take(self) -> Shard | None:
        """The next shard to be done, or None: not read yet, or (`is_exhausted`) there is no other.

        Raises PercoreError when the input can't be read any further.
        """
        try:
            item = self._ready.get_nowait()
        except queue.Empty:
            return None
        if item is None:
            self.is_exhausted = True
        elif isinstance(item, PercoreError):
            raise item
        return item

    def take_skipped(self) -> Iterator[tuple[int, Counter[str]]]:
        """Number and counts of each shard that was found finished since the last call."""
        while not self._skipped.empty():
            yield self._skipped.get()

    def fileno(self) -> int:
        """For a selector; see `clear`."""
        return self._reader.fileno()

    def clear(self) -> None:
        """Make `fileno()` unreadable until there is something new."""
        with suppress(BlockingIOError):
            self._reader.recv(4096)

    def _read(self, shards: Iterator[Shard]) -> None:
        try:
            for shard in shards:
                self.shards_seen += 1
                self.lines_seen += len(shard.lines)
                entries = sum(map(self._is_entry, shard.lines))
                self.entries_seen += entries
                if not entries:
                    self.empty_shards.add(shard.number)
                    continue
                kinds = self._finished(shard.number)
                if kinds is None:
                    self._put(shard)
                else:
                    self._skipped.put((shard.number, kinds))
            self._put(None)
        except PercoreError as error:
            self._put(error)
        except OSError as error:
            self._put(PercoreError(f"can't read the input any further: {reason_of(error)}"))
        except Exception as error:
            # A thread that ended without a word would leave its reader waiting for ever.
            self._put(PercoreError(f"reading the input met a defect: {type(error).__name__}: {error}"))

    def _put(self, item: Shard | PercoreError | None) -> None:
        self._ready.put(item)
        # Full: the loop has been told already. Closed: nobody listens any more.
        with suppress(OSError):
            self._writer.send(b"!")
