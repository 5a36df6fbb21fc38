"""Socket set: the sockets that libcurl waits for, in one epoll set, which the hub watches as if it were one socket.

The law: a socket that libcurl waits for no more rests in the set. The next transfer on its connection mostly wants it
back as it was, and then the kernel has not to be told twice. A resting socket that has something to say, because the
server closed it, is taken out. A descriptor means another socket once it was opened anew, so who opens sockets says so.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pycurl
from gevent.monkey import get_original

_epoll = get_original("select", "epoll")

# With EPOLLIN, EPOLLRDHUP tells a server's end of the connection from anything else that it has to say.
_MASKS = {
    pycurl.POLL_IN: select.EPOLLIN | select.EPOLLRDHUP,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP,
}

_AT_REST = _MASKS[pycurl.POLL_IN]

# An error or a hang-up is told as both: libcurl finds out which by using the socket.
_BROKEN = select.EPOLLERR | select.EPOLLHUP
_ENDED = select.EPOLLRDHUP | _BROKEN
_ACTIONS = [
    (pycurl.CSELECT_IN if events & (select.EPOLLIN | _BROKEN) else 0)
    | (pycurl.CSELECT_OUT if events & (select.EPOLLOUT | _BROKEN) else 0)
    for events in range(32)
]

_EVENTS_AT_ONCE = 256


class SocketSet:
    """For one hub's loop. on_ready is called in the hub when there may be something ready.

    It does not keep the loop alive, unless `keep_loop` says so.

    ended_s  when a resting socket was last found to be ended by its server: monotonic seconds, -inf for never
    """

    def __init__(self, loop: Any, on_ready: Callable[[], None]) -> None:
        self._loop = loop
        self._on_ready = on_ready
        self._epoll = _epoll()
        # Mutable state: socket -> what it is watched for; those that libcurl waits for, and those that rest.
        self._masks: dict[int, int] = {}
        self._resting: dict[int, int] = {}
        self.ended_s = float("-inf")
        self._keeps_loop = False
        self._watcher: Any = None
        self._watch()

    def __len__(self) -> int:
        """Sockets that libcurl waits for."""
        return len(self._masks)

    def wait_for(self, descriptor: int, event: int) -> None:
        """libcurl waits for another event (POLL_IN and so on), or for none. Raises OSError."""
        mask = _MASKS.get(event, 0)
        before = self._masks.get(descriptor)
        if mask == before:
            return
        if not mask:
            if before is not None:
                del self._masks[descriptor]
                if before != _AT_REST:
                    # That it can be written to is nothing that it has to say. It may be closed by now.
                    with suppress(OSError):
                        self._epoll.modify(descriptor, _AT_REST)
                self._resting[descriptor] = _AT_REST
            return
        if before is None:
            before = self._resting.pop(descriptor, None)
        self._masks[descriptor] = mask
        if before is None:
            self._epoll.register(descriptor, mask)
        elif before != mask:
            self._epoll.modify(descriptor, mask)

    def opened(self, descriptor: int) -> None:
        """A socket has just been opened. What had its number before is closed, and out of the kernel's set."""
        self._resting.pop(descriptor, None)

    def forget(self, descriptor: int) -> None:
        """Take a socket out, whatever is known of it."""
        self._masks.pop(descriptor, None)
        self._resting.pop(descriptor, None)
        with suppress(OSError):
            self._epoll.unregister(descriptor)

    def ready(self) -> list[tuple[int, int]]:
        """Sockets that libcurl waits for and that are ready, and for what (CSELECT_IN and so on)."""
        masks = self._masks
        found = []
        for descriptor, events in self._epoll.poll(0, _EVENTS_AT_ONCE):
            if descriptor in masks:
                found.append((descriptor, _ACTIONS[events & 31]))
            else:
                if events & _ENDED:
                    self.ended_s = time.monotonic()
                self._take_out(descriptor)
        return found

    def keep_loop(self, keep: bool) -> None:
        """Whether the loop goes on for the sake of these sockets."""
        if keep != self._keeps_loop:
            self._keeps_loop = self._watcher.ref = keep

    def stop_watching(self) -> None:
        """Call nobody any more."""
        self._watcher.stop()
        self._watcher.close()
        self._masks.clear()
        self._resting.clear()

    def close(self) -> None:
        """Give the descriptor back."""
        self._epoll.close()

    def _watch(self) -> None:
        self._watcher = self._loop.io(self._epoll.fileno(), 1, ref=self._keeps_loop)
        self._watcher.start(self._on_ready)

    def _take_out(self, descriptor: int) -> None:
        self._resting.pop(descriptor, None)
        try:
            self._epoll.unregister(descriptor)
        except OSError:
            # It was closed here while a forked process still has it: the kernel goes on telling of it, and by its
            # number nobody can take it out any more (epoll(7), questions 6). So all of them move.
            self._move()

    def _move(self) -> None:
        self._watcher.stop()
        self._watcher.close()
        self._epoll.close()
        self._epoll = _epoll()
        self._resting.clear()
        for descriptor, mask in self._masks.items():
            self._epoll.register(descriptor, mask)
        self._watch()
