"""The parent's side of one isolated child: it is started, given one task at a time, and ended.

The laws:
- Nothing here blocks the hub: the socket is read when the hub says so, large bodies are copied in pieces with a turn of
  the hub between them, and starting a process does not copy this one (posix_spawn, vfork underneath).
- A child goes from starting to idle, between idle and busy, and from anywhere to leaving and ended. One whose task did
  not come to its answer is never used again: its state is unknown.
- It is a process group of its own. Whatever ends the child ends the group: what a function has started and left.
"""

from __future__ import annotations

import _socket
import io
import json
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any

import gevent
from gevent.hub import Waiter

from app.cpu.exit_watch import ExitWatch, describe
from app.cpu.isolated_frames import (
    BUFFER_BYTES,
    PIECE_BYTES,
    BrokenFrame,
    Buffer,
    Frame,
    Kind,
    make_roomy,
    receive,
    sealed_memory,
    send,
)
from app.cpu.isolated_spawn import spawn
from app.cpu.wide_mask import widen
from app.errors import PercoreError, StageCrashed, StageRaised, StageTimeout
from app.hub.clock import Cancel, Clock

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# How long a child may take to end by itself once its socket is closed, and to be seen ended once it closed its own.
_LEAVE_S = 5.0
_VANISH_S = 1.0

# What is received here is taken out again before anything else can be received.
_buffer = bytearray(BUFFER_BYTES)


Answer = Frame | bytes | Exception
"""A frame is one whose descriptor is still to be read."""


class ChildGone(Exception):
    """The child died before it got the task: another can have it."""


class State(Enum):
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    LEAVING = "leaving"
    ENDED = "ended"


class IsolatedChild:
    """One child, of the hub of the thread that makes it. It is started here; raises OSError if it can't be.

    on_idle  called on the hub when it is ready for its first task
    on_end   called on the hub when it has ended, whatever the reason: see `end` and `has_crashed`

    Readable attributes: state; tasks (answered ones); was_ready (it has started); end (how it ended, in words);
    has_crashed (it ended, or had to be ended, for a reason of its own); is_unfit (it is to be dismissed).
    """

    def __init__(
        self,
        *,
        wide_cpus: frozenset[int],
        path: tuple[str, ...],
        max_result_bytes: int,
        start_timeout_s: float,
        clock: Clock,
        on_idle: Callable[[IsolatedChild], None],
        on_end: Callable[[IsolatedChild], None],
    ) -> None:
        self.state = State.STARTING
        self.tasks = 0
        self.end = ""
        self.was_ready = self.has_crashed = self.is_unfit = False
        self._max_result_bytes = max_result_bytes
        self._clock = clock
        self._on_idle = on_idle
        self._on_end = on_end
        self._hub = gevent.get_hub()
        self._task = 0
        self._reference = self._name = ""
        self._timeout_s = 0.0
        self._waiter: Waiter[None] = Waiter()
        self._is_waited_for = self._is_unread = False
        self._answer: Answer | None = None
        self._cancel_timer: Cancel | None = None

        # The C ones: gevent replaces those of `socket`, and waits in them.
        ours, theirs = _socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        ours.setblocking(False)
        self._inline_bytes = make_roomy(ours)
        try:
            self.pid = spawn(theirs, path, max_result_bytes)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        widen(wide_cpus, self.pid)  # it has but one thread for now, and has not begun anything
        try:
            self._exit = ExitWatch(self._hub, self.pid, self._exited)
        except OSError:
            ours.close()
            os.kill(self.pid, signal.SIGKILL)
            os.waitid(os.P_PID, self.pid, os.WEXITED)
            raise
        self._statm = -1
        with suppress(OSError):
            self._statm = os.open(f"/proc/{self.pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._reading: Any = self._hub.loop.io(ours.fileno(), 1)
        self._reading.start(self._readable)
        self._is_reading = True
        self._set_timer(start_timeout_s, lambda: self._expel(f"did not start within {start_timeout_s:g} s"))

    def call(self, reference: str, argument: Sequence[Buffer], timeout_s: float, name: str) -> bytes:
        """Have an idle child call a function; returns its value. Yields to the hub.

        argument   its parts
        timeout_s  from when the child gets the task
        name       for messages

        Raises StageRaised, StageTimeout (the child is killed), StageCrashed, ChildGone. Who is killed here has the
        child killed.
        """
        self._name = name
        self._begin(reference, timeout_s)
        try:
            self._hand_over(argument)
            value = self._value_of(self._wait())
        except BaseException:
            self._give_up()
            raise
        if isinstance(value, StageRaised) or not isinstance(value, Exception):
            self._done()
        if isinstance(value, Exception):
            raise value
        return value

    def rss_bytes(self) -> int:
        """Its resident memory; 0 when it can't be known."""
        try:
            return int(os.pread(self._statm, 80, 0).split()[1]) * _PAGE_BYTES
        except (OSError, IndexError, ValueError):
            return 0

    def dismiss(self) -> None:
        """Have an idle child leave by itself, soon. Does not wait."""
        self.state = State.LEAVING
        self._stop_reading()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._set_timer(_LEAVE_S, lambda: self._end_it("did not leave"))

    def kill(self) -> None:
        """Kill it, whatever it is at; `destroy` is to follow. Does not wait."""
        self._end_it("was ended")

    def destroy(self, error: PercoreError) -> None:
        """Kill it and wait, blocking, until it is gone: some ms. Whoever waits for it gets `error`. `on_end` is not
        called. Does not yield.
        """
        if self.state is not State.ENDED:
            self.kill()
            self._exit.wait_killed()
            self._release()
            self._wake(error)

    def forget(self, error: PercoreError) -> None:
        """In a forked child: it is the parent's. As `destroy`, and nothing happens to the process."""
        if self.state is not State.ENDED:
            self._exit.forget()
            self._release()
            self._wake(error)

    def _begin(self, reference: str, timeout_s: float) -> None:
        assert self.state is State.IDLE
        self.state = State.BUSY
        self._hold_hub(True)
        self._task = (self._task + 1) & 0xFFFF_FFFF
        self._reference = reference
        self._timeout_s = timeout_s
        self._waiter = Waiter()
        self._answer = None
        self._is_waited_for = True

    def _hand_over(self, argument: Sequence[Buffer]) -> None:
        descriptor = None
        if sum(memoryview(part).nbytes for part in argument) > self._inline_bytes:
            descriptor = sealed_memory(argument, self._let_hub_turn)
        try:
            if not self._is_waited_for:
                raise ChildGone  # while the argument was copied
            send(self._socket, Kind.RUN, self._task, self._reference, argument, descriptor)
        except ConnectionError:
            self._is_waited_for = False
            self.has_crashed = True
            self._end_it("")
            raise ChildGone from None
        finally:
            if descriptor is not None:
                os.close(descriptor)
        self._set_timer(self._timeout_s, self._time_is_up)

    def _wait(self) -> Answer:
        if self._is_waited_for:
            self._waiter.get()
        answer, self._answer = self._answer, None
        assert answer is not None, "nothing else wakes it"
        return answer

    def _done(self) -> None:
        self.tasks += 1
        if self.state is State.BUSY:  # it may have died since it answered
            self._become_idle()

    def _become_idle(self) -> None:
        self.state = State.IDLE
        self._hold_hub(False)

    def _hold_hub(self, is_holding: bool) -> None:
        """Whether the hub has something to wait for here. An idle child would keep `hub.join` from ever ending."""
        self._reading.ref = is_holding
        self._exit.hold_hub(is_holding)

    def _give_up(self) -> None:
        """The greenlet leaves before it has its value."""
        if isinstance(self._answer, Frame):
            assert self._answer.descriptor is not None
            os.close(self._answer.descriptor)
        self._answer = None
        self._is_waited_for = False
        self._end_it("was killed with the greenlet that waited for it")

    def _readable(self) -> None:
        """In the hub: a message, or the end of the connection."""
        try:
            frame = receive(self._socket, _buffer)
        except BlockingIOError:
            return
        except ConnectionResetError:  # closed with our message unread (unix(7))
            self._is_unread = True
            frame = None
        except (BrokenFrame, OSError) as error:
            self._expel(f"sent what can't be read: {error}")
            return
        if frame is None:
            self._vanishing()
        elif frame.kind == Kind.READY and self.state is State.STARTING:
            self._drop_timer()
            self._become_idle()
            self.was_ready = True
            self._on_idle(self)
        elif frame.task == self._task and self._is_waited_for:
            self._take(frame)
        else:
            if frame.descriptor is not None:
                os.close(frame.descriptor)
            self._expel("sent what nobody asked for")

    def _take(self, frame: Frame) -> None:
        if frame.kind in (Kind.RAISED, Kind.LAST):
            self.is_unfit = frame.kind == Kind.LAST
            try:
                name, message, text = json.loads(bytes(frame.body))
            except ValueError:
                self._expel("sent what can't be read")
                return
            self._wake(StageRaised(f"{name}: {message}" if message else name, text))
        elif frame.descriptor is None:
            self._wake(bytes(frame.body))
        else:
            self._wake(frame)

    def _value_of(self, answer: Answer) -> bytes | Exception:
        """Reads, in pieces, what is in a memfd, and closes it. Yields to the hub then."""
        if not isinstance(answer, Frame):
            return answer
        descriptor = answer.descriptor
        assert descriptor is not None
        try:
            size = os.fstat(descriptor).st_size
            if size > self._max_result_bytes:
                raise StageCrashed(f"the isolated process that ran {self._name} sent {size} bytes, over the limit")
            # Its room comes from the kernel untouched, and getvalue() gives out the very same: one copy in all.
            whole = io.BytesIO(bytes(size))
            with whole.getbuffer() as room:
                at = 0
                while at < size:
                    count = os.preadv(descriptor, [room[at : at + PIECE_BYTES]], at)
                    if not count:
                        raise StageCrashed(f"the isolated process that ran {self._name} cut its result short")
                    at += count
                    self._let_hub_turn()
            return whole.getvalue()
        finally:
            os.close(descriptor)

    def _let_hub_turn(self) -> None:
        """A whole turn of the hub, polling included: gevent.sleep(0) would come back before that."""
        timer = self._hub.loop.timer(0)
        try:
            self._hub.wait(timer)
        finally:
            timer.close()

    def _time_is_up(self) -> None:
        self._drop_timer()
        self._readable()  # the answer may be there, if the hub was late
        if self._is_waited_for and self.state is State.BUSY:
            text = f"{self._name} was not done after {self._timeout_s:g} s; its process was killed"
            self._wake(StageTimeout(text))
            self._end_it("was killed at its deadline")

    def _vanishing(self) -> None:
        """Its end of the connection is closed. Most likely it dies at this moment, and we soon learn how."""
        if self.state is State.IDLE:
            self.state = State.LEAVING
            self.has_crashed = True
        self._stop_reading()
        self._set_timer(_VANISH_S, lambda: self._expel("closed its socket"))

    def _exited(self, code: int | None) -> None:
        """In the hub: the process has ended."""
        if self._is_waited_for and self._is_reading:
            self._readable()  # it may have answered before
        if self.state is not State.LEAVING:
            self.has_crashed = True
        self.end = self.end or describe(code)
        self._release()
        crash = StageCrashed(f"the isolated process that ran {self._name} {self.end}")
        self._wake(ChildGone() if self._is_unread else crash)
        self._on_end(self)

    def _expel(self, why: str) -> None:
        """It does what it must not do."""
        self.has_crashed = True
        self._end_it(why)

    def _end_it(self, why: str) -> None:
        """Kill the whole group, and never use the child again. Its end is told later."""
        if self.state is State.ENDED:
            return
        self.end = self.end or why
        self.state = State.LEAVING
        self._hold_hub(True)
        self._stop_reading()
        self._drop_timer()
        self._exit.kill_group()

    def _wake(self, answer: Answer) -> None:
        """Give an answer to who waits for one. Never switches."""
        if self._is_waited_for:
            self._is_waited_for = False
            self._answer = answer
            self._drop_timer()
            self._hub.loop.run_callback(self._waiter.switch, None)

    def _set_timer(self, seconds: float, callback: Callable[[], None]) -> None:
        self._drop_timer()
        self._cancel_timer = self._clock.start_timer(seconds, callback)

    def _drop_timer(self) -> None:
        if self._cancel_timer is not None:
            self._cancel_timer()
            self._cancel_timer = None

    def _stop_reading(self) -> None:
        self._is_reading = False
        self._reading.stop()

    def _release(self) -> None:
        self.state = State.ENDED
        self._drop_timer()
        self._stop_reading()
        self._reading.close()
        self._socket.close()
        if self._statm >= 0:
            os.close(self._statm)
            self._statm = -1
