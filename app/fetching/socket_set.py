"""Socket set: the sockets that libcurl waits for, in one epoll set, which the hub watches as if it were one socket.

The law: a socket that libcurl waits for no more rests in the set. The next transfer on its connection mostly wants it
back as it was, and then the kernel has not to be told twice. A resting socket that has something to say, because the
server closed it, is taken out. A descriptor means another socket once it was opened anew, so who opens sockets says so.

Where a server has nothing to say before the next request (HTTP/1), a socket on which something comes while it rests is
shut down: libcurl asks a connection no more than once a second whether it is still good for use (8.22, its pull request
22169), and would take what lies there unread for the next request's answer. As it is, its request can't be sent, and it
takes another connection. But while somebody holds up an answer, a socket may rest in the middle of one.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pycurl
from gevent.monkey import get_original

_epoll = get_original("select", "epoll")
_socket = get_original("socket", "socket")

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

# The greenlets of all that are told run before the hub polls again, each for 50 to 100 us: 3 ms with 32, 7 with 64 and
# more, at the same cost a fetch; 16 would take 5 % more. epoll tells of the others next time, in turn.
EVENTS_AT_ONCE = 32


class SocketSet:
    """For one hub's loop. on_ready is called in the hub when there may be something ready.

    is_held_up  whether anybody has told libcurl to wait with an answer

    It does not keep the loop alive, unless `keep_loop` says so.

    ended_s  when a resting socket was last found to be ended, by its server or by us: monotonic seconds, -inf for never
    """

    def __init__(self, loop: Any, on_ready: Callable[[], None], is_held_up: Callable[[], bool]) -> None:
        self._loop = loop
        self._on_ready = on_ready
        self._is_held_up = is_held_up
        self._epoll = _epoll()
        # Mutable state.
        self._masks: dict[int, int] = {}  # socket in the set -> what the kernel watches it for
        self._awaited: set[int] = set()  # those of them that libcurl waits for; the others rest
        self._silent: set[int] = set()  # those that have nothing to say while they rest
        self.ended_s = float("-inf")
        self._keeps_loop = False
        self._watcher: Any = None
        self._watch()

    def __len__(self) -> int:
        """Sockets that libcurl waits for."""
        return len(self._awaited)

    def wait_for(self, descriptor: int, event: int) -> None:
        """libcurl waits for another event (POLL_IN and so on), or for none. Raises OSError."""
        mask = _MASKS.get(event)
        if mask is None:
            self._awaited.discard(descriptor)
            return
        self._awaited.add(descriptor)
        before = self._masks.get(descriptor)
        if before == mask:
            return
        self._masks[descriptor] = mask
        if before is None:
            self._epoll.register(descriptor, mask)
        else:
            self._epoll.modify(descriptor, mask)

    def opened(self, descriptor: int) -> None:
        """A socket has just been opened. What had its number before is closed, and out of the kernel's set."""
        self._masks.pop(descriptor, None)
        self._awaited.discard(descriptor)
        self._silent.discard(descriptor)

    def expect_silence(self, descriptor: int) -> None:
        """It has nothing to say while it rests."""
        self._silent.add(descriptor)

    def forget(self, descriptor: int) -> None:
        """Take a socket out, whatever is known of it."""
        self._masks.pop(descriptor, None)
        self._awaited.discard(descriptor)
        with suppress(OSError):
            self._epoll.unregister(descriptor)

    def ready(self) -> list[tuple[int, int]]:
        """Sockets that libcurl waits for and that are ready, and for what (CSELECT_IN and so on).

        EVENTS_AT_ONCE at most; the others are told by the next calls, before any of these again.
        """
        awaited = self._awaited
        found = []
        for descriptor, events in self._epoll.poll(0, EVENTS_AT_ONCE):
            if descriptor in awaited:
                found.append((descriptor, _ACTIONS[events & 31]))
            else:
                self._hear(descriptor, events)
        return found

    def check_resting(self) -> None:
        """Find out which of the resting ones have something to say: before one of them is taken for a request."""
        # epoll tells of all, so that their order stays as it is for `ready`.
        has_changed = True
        while has_changed:
            has_changed = False
            told = dict(self._epoll.poll(0, len(self._masks) + 1))
            for descriptor in told.keys() - self._awaited:
                has_changed |= self._hear(descriptor, told[descriptor])

    def keep_loop(self, keep: bool) -> None:
        """Whether the loop goes on for the sake of these sockets."""
        if keep != self._keeps_loop:
            self._keeps_loop = self._watcher.ref = keep

    def stop_watching(self) -> None:
        """Call nobody any more."""
        self._watcher.stop()
        self._watcher.close()
        self._masks.clear()
        self._awaited.clear()

    def close(self) -> None:
        """Give the descriptor back."""
        self._epoll.close()

    def _watch(self) -> None:
        self._watcher = self._loop.io(self._epoll.fileno(), 1, ref=self._keeps_loop)
        self._watcher.start(self._on_ready)

    def _hear(self, descriptor: int, events: int) -> bool:
        """A resting socket is ready. Whether it is watched on, and may tell more."""
        try:
            if not events & ~select.EPOLLOUT:
                # It was last waited for to take more, as it always does.
                self._masks[descriptor] = _AT_REST
                self._epoll.modify(descriptor, _AT_REST)
                return True
            self._masks.pop(descriptor, None)
            self._epoll.unregister(descriptor)
        except OSError:
            self._move()
            return True
        if descriptor in self._silent and not self._is_held_up():
            _shut_down(descriptor)
            events |= _ENDED
        if events & _ENDED:
            self.ended_s = time.monotonic()
        return False

    def _move(self) -> None:
        """To another set. A socket was closed here while a forked process still has it: the kernel goes on telling of
        it, and by its number nobody can take it out any more (epoll(7), questions 6).
        """
        self._watcher.stop()
        self._watcher.close()
        self._epoll.close()
        self._epoll = _epoll()
        self._masks = {descriptor: self._masks[descriptor] for descriptor in self._awaited}
        for descriptor, mask in self._masks.items():
            self._epoll.register(descriptor, mask)
        self._watch()


def _shut_down(descriptor: int) -> None:
    with suppress(OSError):
        shut = _socket(fileno=descriptor)
        try:
            shut.shutdown(socket.SHUT_RDWR)
        finally:
            shut.detach()  # its descriptor is libcurl's to close
