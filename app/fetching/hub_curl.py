"""HubCurl: libcurl's multi interface driven by gevent's hub. One multi handle a hub (and address policy).

The law: libcurl never waits, and nothing switches while libcurl is on the stack.

- libcurl tells us which sockets it waits for; they sit in one epoll set, and the hub watches that set alone.
- `_turn` runs in the hub: it tells libcurl which sockets are ready (or that time has passed), takes the transfers that
  have ended out of the multi handle, and only then switches to the greenlets that wait for them.
- Callbacks of libcurl note what happened and return. Whoever shall be woken by one is woken by the turn's end, and
  what must not be done inside of one (a finalizer may run anywhere, in any thread) is done by then.
- A callback never fails: libcurl would give up every transfer of the multi handle, and no timer would ring again.

Source: libcurl's multi_socket API: curl_multi_socket_action(3), CURLMOPT_SOCKETFUNCTION(3), CURLMOPT_TIMERFUNCTION(3).
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec
import pycurl
from gevent import get_hub
from gevent.hub import Hub
from gevent.monkey import get_original

from app.fetching.alarm import Alarm
from app.fetching.curl_errors import TransferError, no_socket
from app.fetching.socket_set import SocketSet

_log = logging.getLogger("percore.fetching")

_thread_id: Callable[[], int] = get_original("_thread", "get_ident")
_socketpair = get_original("socket", "socketpair")

# After this many rounds of transfers that end and begin the next in the same turn, other greenlets get theirs.
_ROUNDS_PER_TURN = 4

# libcurl looks for idle connections that are dead once a second, and takes any of them meanwhile.
_DEAD_FOR_S = 1.1


class Transferred(Protocol):
    """What a multi handle runs: see app.fetching.transfer."""

    curl: pycurl.Curl

    @property
    def is_paused(self) -> bool:
        """Whether libcurl was told to wait with its answer."""

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

    is_closed  it can be used no more
    Raises TransferError, as for a socket that can't be opened, when there are no descriptors for it.
    """

    def __init__(self, *, max_idle_connections: int = 1024) -> None:
        self.hub: Hub = get_hub()
        self._loop = self.hub.loop
        try:
            self._multi = _new_multi()
            # They keep the loop alive only while there are transfers: gevent.wait() shall end.
            self._sockets = SocketSet(self._loop, self._turn, self._is_held_up)
        except OSError as error:
            raise TransferError(pycurl.E_COULDNT_CONNECT, no_socket(error), is_connected=False) from error
        self._alarm = Alarm(self._loop, self._turn_at_once)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_idle_connections)
        # Mutable state, changed in this hub's thread only.
        self._active: dict[pycurl.Curl, Transferred] = {}
        self._doomed: dict[pycurl.Curl, Transferred] = {}  # stopped when it could not be taken out of the multi handle
        self._woken: deque[Transferred] = deque()  # to be woken at the end of this turn
        self._raised: BaseException | None = None  # in a callback, to be raised outside of libcurl
        self._is_turning = False
        self._is_inside = False  # libcurl is on the stack
        self._has_unread = False  # libcurl may have ended transfers that we have not asked for
        self._turn_wanted = False  # see _want_turn
        self._turn_planned = False  # the loop will call us for one
        self.is_closed = False
        self._started = self._succeeded = self._failed = self._stopped = 0
        self._thread_id = _thread_id()

    def start(self, transfer: Transferred) -> None:
        """Hand a transfer to libcurl. `ended` is called once, unless `stop` comes first. Does not yield.

        Raises TransferError if this was closed.
        """
        if self.is_closed:
            raise TransferError(pycurl.E_ABORTED_BY_CALLBACK, "the transport is closed", is_connected=False)
        self._is_inside = True
        try:
            self._multi.add_handle(transfer.curl)
        finally:
            self._is_inside = False
        if not self._active:
            self._sockets.keep_loop(True)
        self._active[transfer.curl] = transfer
        self._started += 1

    def stop(self, transfer: Transferred) -> None:
        """Take a transfer back, if libcurl still has it; its connection is closed if it was in use. Does not yield.

        It may be called anywhere, also by a finalizer inside a callback of libcurl or in another thread. There it
        takes effect a little later, and the handle must not be used again.
        """
        if _thread_id() != self._thread_id:
            self.soon(self.stop, transfer)
            return
        if self._active.pop(transfer.curl, None) is None:
            return
        self._stopped += 1
        if self._is_inside:
            self._doomed[transfer.curl] = transfer
            self._plan_turn()
        elif not self.is_closed:
            self._take_out(transfer.curl)
            if not self._active:
                self._let_loop_end()

    def soon(self, do: Callable[..., None], *arguments: object) -> None:
        """Call `do` in the hub's thread when libcurl is off the stack. From anywhere, other threads too."""
        try:
            if _thread_id() == self._thread_id:
                self._loop.run_callback(do, *arguments)
            else:
                self._loop.run_callback_threadsafe(do, *arguments)
        except (AttributeError, ValueError):
            pass  # the loop was destroyed, and nothing goes on any more

    def pause(self, transfer: Transferred, directions: int) -> None:
        """Hold up or go on: see curl_easy_pause(3). Raises pycurl.error. Does not yield."""
        if _thread_id() != self._thread_id:
            raise RuntimeError("this answer is read in another thread than it was asked for")
        self._is_inside = True
        try:
            transfer.curl.pause(directions)
        finally:
            self._is_inside = False
            self._want_turn()

    def wake_soon(self, transfer: Transferred) -> None:
        """Wake whoever waits for this transfer once libcurl is off the stack. For callbacks."""
        self._woken.append(transfer)
        self._plan_turn()

    def statistics(self) -> HubCurlStatistics:
        """Counts at this moment; in_flight and sockets are 0 when nothing is under way."""
        return HubCurlStatistics(
            in_flight=len(self._active),
            sockets=len(self._sockets),
            started=self._started,
            succeeded=self._succeeded,
            failed=self._failed,
            stopped=self._stopped,
        )

    def close(self) -> None:
        """Close all connections. Transfers under way end as failed. Safe to call again."""
        if self.is_closed:
            return
        self.is_closed = True
        # It tells no socket and no time any more: callbacks of a closed one return at once.
        self._let_go()
        for curl in (*self._active, *self._doomed):
            # It may be closed because libcurl takes nothing any more.
            with suppress(pycurl.error):
                self._take_out(curl)
        self._end_all("closed while it was under way")
        self._multi.close()
        self._sockets.close()

    def abandon(self) -> None:
        """In a forked child: leave everything to the parent, whose connections they are, and never touch it again.

        Ending the multi handle would say goodbye on the parent's TLS and HTTP/2 connections. The child keeps copies
        of their descriptors until it ends or executes a program.
        """
        if self.is_closed:
            return
        self.is_closed = True
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._multi))
        for curl in (*self._active, *self._doomed):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(curl))
        self._sockets.close()
        if _thread_id() != self._thread_id:
            return  # of a thread that is not there any more
        self._let_go()
        self._end_all("the process was forked while it was under way")

    def opened(self, descriptor: int) -> None:
        """A socket was opened for libcurl. For callbacks."""
        self._sockets.opened(descriptor)

    def expect_silence(self, descriptor: int) -> None:
        """Nothing may come on that socket between an answer and the next request: it speaks HTTP/1."""
        self._sockets.expect_silence(descriptor)

    def may_be_dead(self) -> bool:
        """Whether libcurl may hold an idle connection that its server has ended, and not know it yet."""
        self._sockets.check_resting()
        return time.monotonic() - self._sockets.ended_s < _DEAD_FOR_S

    @property
    def in_flight(self) -> int:
        """Transfers that libcurl is at."""
        return len(self._active)

    @property
    def is_of_this_thread(self) -> bool:
        """Whether this is the thread of its hub."""
        return _thread_id() == self._thread_id

    def _is_held_up(self) -> bool:
        return any(transfer.is_paused for transfer in self._active.values())

    def _end_all(self, why: str) -> None:
        for transfer in list(self._active.values()):
            transfer.ended(pycurl.E_ABORTED_BY_CALLBACK, why)
            self._loop.run_callback(transfer.wake)
        self._failed += len(self._active)
        self._active.clear()
        self._doomed.clear()

    def _take_out(self, curl: pycurl.Curl) -> None:
        """Out of the multi handle. libcurl may have something to do afterwards for those that wait in line."""
        self._is_inside = True
        try:
            self._multi.remove_handle(curl)
        finally:
            self._is_inside = False
        if not self.is_closed:
            self._want_turn()

    def _let_loop_end(self) -> None:
        if not self.is_closed:
            self._sockets.keep_loop(False)

    def _let_go(self) -> None:
        self._sockets.stop_watching()
        self._alarm.close()

    # --- libcurl's callbacks: they must not switch -------------------------------------------------------------------

    def _on_socket(self, event: int, descriptor: int, multi: object, data: object) -> None:
        if self.is_closed:
            return
        try:
            self._sockets.wait_for(descriptor, event)
        except OSError as error:
            # The kernel will watch no more (its limits, above all). Who waits for that socket has a deadline.
            _log.error("a socket can't be watched: %s", error)
            self._sockets.forget(descriptor)
        except BaseException as error:
            # A signal's: KeyboardInterrupt, most likely. It is raised in the hub, and this is done all the same.
            self._raised = error
            self._sockets.forget(descriptor)
            self._on_socket(event, descriptor, multi, data)

    def _on_timer(self, timeout_ms: int) -> None:
        if self.is_closed:
            return
        try:
            if timeout_ms == 0:
                self._want_turn()
            elif timeout_ms < 0:
                self._alarm.unset()
            else:
                self._alarm.set(timeout_ms / 1000)
        except BaseException as error:
            self._raised = error
            self._on_timer(timeout_ms)

    # --- in the hub --------------------------------------------------------------------------------------------------

    def _want_turn(self) -> None:
        """libcurl has something to do without any socket or time."""
        self._turn_wanted = True
        if not self._is_turning:
            self._plan_turn()

    def _plan_turn(self) -> None:
        if not self._is_turning and not self._turn_planned:
            self._turn_planned = True
            self._loop.run_callback(self._turn)

    def _turn_at_once(self) -> None:
        self._turn_wanted = True
        self._turn()

    def _turn(self) -> None:
        self._turn_planned = False
        if self.is_closed or self._is_turning:
            return
        self._is_turning = self._is_inside = self._has_unread = True
        act = self._multi.socket_action
        try:
            for descriptor, action in self._sockets.ready():
                act(descriptor, action)
            self._is_inside = False
            self._collect()
            for _ in range(_ROUNDS_PER_TURN):
                if not self._turn_wanted or self.is_closed:
                    break
                self._turn_wanted = False
                self._is_inside = self._has_unread = True
                # Transfers begin by time, and take connections that rest.
                self._sockets.check_resting()
                act(pycurl.SOCKET_TIMEOUT, 0)
                self._is_inside = False
                self._collect()
        except pycurl.error as error:
            # libcurl has given up this multi handle. Whoever fetches next gets another one.
            self._is_inside = False
            _log.error("libcurl gave up its transfers: %s", error)
            self.close()
        finally:
            self._is_turning = self._is_inside = False
            if not self.is_closed:
                if not self._active:
                    self._let_loop_end()
                if self._turn_wanted or self._has_unread or self._woken or self._doomed:
                    self._plan_turn()
            if self._raised is not None:
                raised, self._raised = self._raised, None
                self.hub.handle_error(self, type(raised), raised, raised.__traceback__)

    def _collect(self) -> None:
        """Take what has ended out of the multi handle, then wake whoever waits for it.

        Whatever is raised on the way, nobody who is to be woken is forgotten: what is left is for the next turn.
        """
        active, doomed, woken, multi = self._active, self._doomed, self._woken, self._multi
        _, succeeded, failed = self._multi.info_read()
        self._has_unread = False
        self._is_inside = True
        # A list, since most turns end a few transfers, all well: a generator would cost as much as the rest.
        for curl, code, message in [(curl, 0, "") for curl in succeeded] + failed:
            multi.remove_handle(curl)
            transfer = active.pop(curl, None)
            if transfer is None:
                doomed.pop(curl, None)  # it was stopped, and came to its end meanwhile
                continue
            transfer.ended(code, message)
            woken.append(transfer)
        while doomed:
            multi.remove_handle(doomed.popitem()[0])
        self._is_inside = False
        self._succeeded += len(succeeded)
        self._failed += len(failed)
        # From here on greenlets run: they may stop transfers, begin others, close everything.
        for _ in range(len(woken)):
            transfer = woken.popleft()
            try:
                transfer.wake()
            except BaseException as error:
                # Out of a bare greenlet, whose parent is the hub. The others are to be woken all the same.
                self.hub.handle_error(transfer, type(error), error, error.__traceback__)


def _new_multi() -> pycurl.CurlMulti:
    """Raises OSError when the system refuses the descriptors for it, which libcurl itself does not tell."""
    try:
        return pycurl.CurlMulti()
    except pycurl.error:
        # What wakes it is an eventfd, or a pair of sockets, as it was built.
        for end in _socketpair():
            end.close()
        raise
