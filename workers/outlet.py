"""Outlet: what is shown, written by a thread of its own, so that a reader who does not read holds up nobody else.

The laws:
- Lines come in their order. Of pictures only the newest is kept: whoever did not read the last one has no use for it.
  So nothing grows however long nobody reads, and when somebody does again, what they get is of that moment.
- On a terminal that stops who writes there from the background (stty tostop) it does not get stopped: pictures wait
  until the terminal is ours again, and lines are written all the same: the last ones say how it ended.
- Nothing that goes wrong in here ends the thread: whoever waits for it would wait in vain. A defect is told once, and
  from then on lines are plain and pictures left out.
"""

from __future__ import annotations

import os
import select
import signal
import termios
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TextIO

# So much waits for a reader. The oldest goes: the last lines say how it ended, and how to go on.
_PIECES_KEPT = 1000

# How often is asked, while the reader is waited for, for how long to.
_ASK_EVERY_S = 0.02


class _Piece(NamedTuple):
    """plain: what is written once nothing is drawn any more; None for a picture, which is left out then."""

    text: Callable[[], str]
    plain: str | None


class Outlet:
    """Writes to `stream`. For one thread, which `say` and `show` never hold up.

    is_gone  nobody can read it any more; what is said from now on is dropped
    dropped  lines that have been, since nobody read them in time
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        self._write = _writing(stream, self._descriptor)
        self._changed = threading.Condition()
        self._waiting: deque[_Piece] = deque()
        self._is_writing = False
        self._is_closed = False
        self._is_plain = False  # after a defect
        self._thread: threading.Thread | None = None
        self.is_gone = False
        self.dropped = 0

    def say(self, plain: str, text: Callable[[], str] | None = None) -> None:
        """Write `plain`; or what `text` returns at the time, in the thread, where nothing else touches what it uses."""
        self._put(_Piece(text or (lambda: plain), plain))

    def show(self, picture: Callable[[], str]) -> None:
        """Write what `picture` returns at the time, as `say`, in the place of an older one that is not written yet."""
        self._put(_Piece(picture, None))

    def flush(self, limit_s: Callable[[], float]) -> bool:
        """Wait until all is written; whether it is.

        limit_s  how long to wait since the call, asked again and again
        """
        began_s = time.monotonic()
        with self._changed:
            while not self._changed.wait_for(lambda: self.is_idle, _ASK_EVERY_S):
                if time.monotonic() - began_s >= limit_s():
                    return False
        return True

    def close(self, limit_s: Callable[[], float]) -> bool:
        """`flush`, and drop what nobody has read until then, and what is said later."""
        is_whole = self.flush(limit_s)
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()
        if is_whole and self._thread is not None:
            # One that is left to the end of the interpreter is ended by a library that is loaded only then, for which
            # there may be no descriptor.
            self._thread.join()
        return is_whole

    def _put(self, piece: _Piece) -> None:
        with self._changed:
            if self._is_closed or self.is_gone:
                return
            if piece.plain is None:
                self._waiting = deque(other for other in self._waiting if other.plain is not None)
            self._waiting.append(piece)
            if len(self._waiting) > _PIECES_KEPT:
                self.dropped += (self._waiting.popleft().plain or "").count("\n")
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="outlet", daemon=True)
            self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether all is written."""
        return not self._waiting and not self._is_writing

    def _run(self) -> None:
        # Held back in this thread, it stops nobody, and the write is done (tcsetpgrp(3), general terminal interface).
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        while (piece := self._next()) is not None:
            try:
                self._write_piece(piece)
            except Exception:
                # Nobody reads; or not even a plain line can be written.
                self._give_up()

    def _write_piece(self, piece: _Piece) -> None:
        if piece.plain is None and self._descriptor is not None and _is_kept_back(self._descriptor):
            return
        if not self._is_plain:
            try:
                self._write(piece.text())
                return
            except OSError:
                raise
            except Exception as error:
                self._is_plain = True
                self._write(_told(error))
        self._write(piece.plain or "")

    def _next(self) -> _Piece | None:
        with self._changed:
            self._is_writing = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if not self._waiting:
                return None
            self._is_writing = True
            return self._waiting.popleft()

    def _give_up(self) -> None:
        """Nobody is there to read: no batch ends because of that."""
        with self._changed:
            self.is_gone = True
            self._waiting.clear()
        _write_to_nobody(self._stream)


def tell(stream: TextIO, line: str, limit_s: float = 1.0) -> None:
    """Write one line, and wait for its reader so long at most."""
    outlet = Outlet(stream)
    outlet.say(f"{line}\n")
    outlet.close(lambda: limit_s)


def _told(error: Exception) -> str:
    """On lines of its own, whatever stood there."""
    trace = "".join(traceback.format_exception(error))
    return f"\nfetch-batch: nothing is drawn any more, which met a defect; please report it:\n{trace}"


def _descriptor_of(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _is_kept_back(descriptor: int) -> bool:
    """Whether this is our terminal, others have its foreground, and it is for them alone."""
    try:
        is_ours = os.tcgetpgrp(descriptor) == os.getpgrp()
        return not is_ours and bool(termios.tcgetattr(descriptor)[3] & termios.TOSTOP)
    except (OSError, termios.error):
        return False


def _writing(stream: TextIO, descriptor: int | None) -> Callable[[str], None]:
    """Writes to the descriptor itself, where there is one: a thread that is held up in there, and left there, must not
    hold a lock of the stream, which the interpreter wants at its end.
    """
    if descriptor is None:
        return lambda text: _through(stream, text)
    encoding, errors = stream.encoding or "utf-8", stream.errors or "backslashreplace"
    return lambda text: _write_all(descriptor, text.encode(encoding, errors))


def _through(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # Somebody with whom we share it has made it so (O_NONBLOCK).
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


def _write_to_nobody(stream: TextIO) -> None:
    """Send what is still to be written there nowhere, what is in its buffer included: else the interpreter would try
    again at its end, and fail with a status of its own.
    """
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
