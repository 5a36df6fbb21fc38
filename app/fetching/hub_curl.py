"""HubCurl: libcurl's multi interface driven by gevent's hub. One multi handle a hub (and address policy).

The law: libcurl never waits, and nothing switches while libcurl is on the stack.

- libcurl tells us which sockets it waits for; they sit in one epoll set, and the hub watches that set alone.
- `_turn` runs in the hub: it tells libcurl which sockets are ready (or that time has passed), takes the transfers that
  have ended out of the multi handle, and only then switches to the greenlets that wait for them.
- Callbacks of libcurl note what happened and return. Whoever shall be woken by one is woken by the turn's end.

Source: libcurl's multi_socket API: curl_multi_socket_action(3), CURLMOPT_SOCKETFUNCTION(3), CURLMOPT_TIMERFUNCTION(3).
"""

from __future__ import annotations

import ctypes
import select
import time
from typing import Any, Protocol

import msgspec
import pycurl
from gevent import get_hub
from gevent.hub import Hub
from gevent.monkey import get_original

_epoll = get_original("select", "epoll")

_MASKS = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}

# An error or a hang-up is told as both: libcurl finds out which by using the socket.
_BROKEN = select.EPOLLERR | select.EPOLLHUP
_ACTIONS = [
    (pycurl.CSELECT_IN if events & (select.EPOLLIN | _BROKEN) else 0)
    | (pycurl.CSELECT_OUT if events & (select.EPOLLOUT | _BROKEN) else 0)
    for events in range(32)
]

_EVENTS_PER_TURN = 256

# After this many rounds of transfers that end and begin the next in the same turn, other greenlets get theirs.
_ROUNDS_PER_TURN = 4


class Transferred(Protocol):
    """What a multi handle runs: see app.fetching.transfer."""

    curl: pycurl.Curl

    def ended(self, code: int, message: str) -> None:
        """libcurl is done with the handle, which may be used again: 0 or a CURLcode, and its words. Must not switch."""

    def wake(self) -> None:
        """Switch to whoever waits for this transfer, if anybody does."""


class HubCurlStatistics(msgspec.Struct, frozen=True):
    """A snapshot.

    in_flight  transfers that libcurl is at
    sockets    those that libcurl waits for at the moment
    started, succeeded, failed, stopped  transfers since the beginning; failed by libcurl's word, stopped by ours
    """

    in_flight: int
    sockets: int
    started: int
    succeeded: int
    failed: int
    stopped: int


class HubCurl:
    """The multi handle of the hub that makes it. Use it from that hub's thread only.

    max_idle_connections  kept open for later transfers, all origins together; the longest unused goes first
    """

    def __init__(self, *, max_idle_connections: int = 1024) -> None:
        self.hub: Hub = get_hub()
        self._loop = self.hub.loop
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_idle_connections)
        self._epoll = _epoll()
        # Mutable state, changed in this hub's thread only.
        self._masks: dict[int, int] = {}  # socket -> what libcurl waits for
        self._active: dict[pycurl.Curl, Transferred] = {}
        self._woken: list[Transferred] = []  # to be woken at the end of this turn
        self._is_turning = False
        self._turn_wanted = False  # libcurl has something to do without any socket or time
        self._turn_planned = False  # and the loop will call us for it
        self._due_s: float | None = None  # when libcurl wants to be called next
        self._armed_s: float | None = None  # when the timer will ring: no later than that
        self._timer: Any = None
        self._closed = False
        self._started = self._succeeded = self._failed = self._stopped = 0
        self._watcher = self._loop.io(self._epoll.fileno(), 1)
        self._watcher.start(self._turn)

    def start(self, transfer: Transferred) -> None:
        """Hand a transfer to libcurl. `ended` is called once, unless `stop` comes first. Does not yield."""
        self._active[transfer.curl] = transfer
        self._started += 1
        try:
            self._multi.add_handle(transfer.curl)
        except BaseException:
            del self._active[transfer.curl]
            raise

    def stop(self, transfer: Transferred) -> None:
        """Take a transfer back, if libcurl still has it; its connection is closed if it was in use. Does not yield.

        Not from inside a callback of libcurl.
        """
        if self._active.pop(transfer.curl, None) is not None:
            self._stopped += 1
            if not self._closed:
                self._multi.remove_handle(transfer.curl)

    def wake_soon(self, transfer: Transferred) -> None:
        """Wake whoever waits for this transfer once libcurl is off the stack. For callbacks."""
        self._woken.append(transfer)
        self._plan_turn()

    def statistics(self) -> HubCurlStatistics:
        """Counts at this moment; in_flight and sockets are 0 when nothing is under way."""
        return HubCurlStatistics(
            in_flight=len(self._active),
            sockets=len(self._masks),
            started=self._started,
            succeeded=self._succeeded,
            failed=self._failed,
            stopped=self._stopped,
        )

    def close(self) -> None:
        """Close all connections. Transfers under way end as failed. Safe to call again."""
        if self._closed:
            return
        self._closed = True
        for curl, transfer in list(self._active.items()):
            self._multi.remove_handle(curl)
            del self._active[curl]
            transfer.ended(pycurl.E_ABORTED_BY_CALLBACK, "closed while it was under way")
            self._loop.run_callback(transfer.wake)
        self._let_go()
        self._multi.close()
        self._epoll.close()

    def abandon(self) -> None:
        """In a forked child: leave everything to the parent, whose connections they are, and never touch it again.

        Ending the multi handle would say goodbye on the parent's TLS and HTTP/2 connections.
        """
        self._closed = True
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._multi))
        self._epoll.close()
        for transfer in list(self._active.values()):
            transfer.ended(pycurl.E_ABORTED_BY_CALLBACK, "the process was forked while it was under way")
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(transfer.curl))
            self._loop.run_callback(transfer.wake)
        self._active.clear()
        self._let_go()

    @property
    def in_flight(self) -> int:
        """Transfers that libcurl is at."""
        return len(self._active)

    @property
    def is_closed(self) -> bool:
        """Whether it can be used no more."""
        return self._closed

    def _let_go(self) -> None:
        self._watcher.stop()
        self._watcher.close()
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        self._masks.clear()

    # --- libcurl's callbacks: they must not switch -------------------------------------------------------------------

    def _on_socket(self, event: int, descriptor: int, multi: object, data: object) -> None:
        if event == pycurl.POLL_REMOVE:
            if self._masks.pop(descriptor, None) is not None:
                self._epoll.unregister(descriptor)
            return
        mask = _MASKS[event]
        before = self._masks.get(descriptor)
        if before is None:
            self._epoll.register(descriptor, mask)
        elif before != mask:
            self._epoll.modify(descriptor, mask)
        self._masks[descriptor] = mask

    def _on_timer(self, timeout_ms: int) -> None:
        if timeout_ms == 0:
            self._turn_wanted = True
            self._plan_turn()
        elif timeout_ms < 0:
            self._due_s = None
        else:
            self._due_s = time.monotonic() + timeout_ms / 1000
            # A timer that rings too early is let ring: most are pushed back again and again, as deadlines are.
            if self._armed_s is None or self._due_s < self._armed_s:
                self._arm(timeout_ms / 1000)

    # --- in the hub --------------------------------------------------------------------------------------------------

    def _plan_turn(self) -> None:
        if not self._is_turning and not self._turn_planned:
            self._turn_planned = True
            self._loop.run_callback(self._turn)

    def _arm(self, after_s: float) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
        self._timer = self._loop.timer(after_s)
        # update: the loop's idea of now may be as old as the last long stage.
        self._timer.start(self._on_ring, update=True)
        self._armed_s = time.monotonic() + after_s

    def _on_ring(self) -> None:
        self._timer.close()
        self._timer = self._armed_s = None
        if self._due_s is None:
            return
        early_s = self._due_s - time.monotonic()
        if early_s > 0:
            self._arm(early_s)
            return
        # Never early: libcurl would find nothing to do, and not tell the same moment a second time.
        self._due_s = None
        self._turn_wanted = True
        self._turn()

    def _turn(self) -> None:
        self._turn_planned = False
        if self._closed or self._is_turning:
            return
        act = self._multi.socket_action
        self._is_turning = True
        try:
            for descriptor, events in self._epoll.poll(0, _EVENTS_PER_TURN):
                act(descriptor, _ACTIONS[events & 31])
            self._collect()
            for _ in range(_ROUNDS_PER_TURN):
                if not self._turn_wanted or self._closed:
                    break
                self._turn_wanted = False
                act(pycurl.SOCKET_TIMEOUT, 0)
                self._collect()
        finally:
            self._is_turning = False
            if (self._turn_wanted or self._woken) and not self._closed:
                self._plan_turn()

    def _collect(self) -> None:
        """Take what has ended out of the multi handle, then wake whoever waits for it."""
        multi, active = self._multi, self._active
        _, succeeded, failed = multi.info_read()
        woken: list[Transferred] = self._woken
        self._woken = []
        for curl in succeeded:
            multi.remove_handle(curl)
            transfer = active.pop(curl)
            transfer.ended(0, "")
            woken.append(transfer)
        for curl, code, message in failed:
            multi.remove_handle(curl)
            transfer = active.pop(curl)
            transfer.ended(code, message)
            woken.append(transfer)
        self._succeeded += len(succeeded)
        self._failed += len(failed)
        # From here on greenlets run: they may stop transfers, begin others, close everything.
        for transfer in woken:
            try:
                transfer.wake()
            except BaseException as error:
                # Out of a bare greenlet, whose parent is the hub. The others are to be woken all the same.
                self.hub.handle_error(transfer, type(error), error, error.__traceback__)
