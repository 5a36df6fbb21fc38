"""Parent link: a child's end of the socket: what the parent says, sorted, and what it is told.

When the parent is gone (its end is closed), so are we, at once: what is recorded is safe and the rest is nobody's yet.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import gevent
from gevent.lock import BoundedSemaphore
from gevent.queue import Queue

from workers.messages import NoMoreShards, TakeShard, ToChild, ToParent, child_inbox, to_frame

_READ_BYTES = 1 << 18


class ParentLink:
    """Over the socket `descriptor`. Call `listen` first.

    shards  to be taken, in order; None for no more
    orders  all else that the parent says, in order
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._sending = BoundedSemaphore(1)
        self.shards: Queue[TakeShard | None] = Queue()
        self.orders: Queue[ToChild] = Queue()

    def listen(self) -> None:
        """Begin to sort what the parent says, in a greenlet that ends with this process."""
        gevent.spawn(self._read)

    def send(self, message: ToParent) -> None:
        """Tell the parent. Yields to the hub."""
        # A frame may go out in pieces, with other greenlets running in between.
        with self._sending:
            self._socket.sendall(to_frame(message))

    def _read(self) -> None:
        inbox = child_inbox()
        # A reset, too, is the parent's end: it died with messages of ours unread.
        with suppress(OSError):
            while data := self._socket.recv(_READ_BYTES):
                for message in inbox.feed(data):
                    self._sort(message)
        os._exit(1)

    def _sort(self, message: ToChild) -> None:
        if isinstance(message, TakeShard):
            self.shards.put(message)
        elif isinstance(message, NoMoreShards):
            self.shards.put(None)
        else:
            self.orders.put(message)
