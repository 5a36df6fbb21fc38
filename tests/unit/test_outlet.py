"""What is shown, to readers who do not read: a pipe that is full, a stream whose writes are held."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from tests.support.processes import HANG_GUARD_S
from workers.outlet import Outlet, tell

PIPE_BYTES = 4096


def guard_s() -> float:
    return HANG_GUARD_S


def at_once_s() -> float:
    return 0.0


class Held(io.StringIO):
    """Whose reader reads nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.read = threading.Event()

    def write(self, text: str) -> int:
        self.begun.set()
        assert self.read.wait(HANG_GUARD_S)
        return super().write(text)


@contextmanager
def held() -> Iterator[tuple[Held, Outlet]]:
    """An outlet in the middle of its first line."""
    stream = Held()
    outlet = Outlet(stream)
    outlet.say("first\n")
    assert stream.begun.wait(HANG_GUARD_S)
    try:
        yield stream, outlet
    finally:
        stream.read.set()
        outlet.close(guard_s)


@contextmanager
def full_pipe() -> Iterator[tuple[int, TextIO]]:
    """Its reading end, and a stream that writes to it, where nothing fits any more."""
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0), open(writer, "w", encoding="ascii", errors="backslashreplace") as stream:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.write(writer, bytes(PIPE_BYTES))
        yield reader, stream


def read_exactly(reader: int, number: int) -> bytes:
    found = b""
    while len(found) < number:
        found += os.read(reader, number - len(found))
    return found


def test_lines_come_in_their_order_and_all_of_them() -> None:
    stream = io.StringIO()
    outlet = Outlet(stream)
    for number in range(500):
        outlet.say(f"{number}\n")
    assert outlet.close(guard_s)
    assert stream.getvalue() == "".join(f"{number}\n" for number in range(500))


def test_of_pictures_the_newest_is_kept_in_its_place() -> None:
    with held() as (stream, outlet):
        for number in range(10):
            outlet.show(lambda number=number: f"picture {number}\n")
        outlet.say("said\n")
        assert not outlet.flush(at_once_s)
        stream.read.set()
        assert outlet.flush(guard_s)
        assert stream.getvalue() == "first\npicture 9\nsaid\n"


def test_of_lines_that_nobody_reads_the_last_are_kept() -> None:
    with held() as (stream, outlet):
        for number in range(5000):
            outlet.say(f"{number}\n")
        stream.read.set()
        assert outlet.flush(guard_s)
        assert stream.getvalue() == "".join(["first\n", *(f"{number}\n" for number in range(4000, 5000))])
        assert outlet.dropped == 4000


def test_the_end_waits_no_longer_than_it_may() -> None:
    with held() as (stream, outlet):
        outlet.say("second\n")
        asked: list[int] = []

        def limit_s() -> float:
            asked.append(1)
            return 0.0 if len(asked) == 3 else HANG_GUARD_S

        assert not outlet.close(limit_s)
        assert len(asked) == 3, "somebody who gets impatient meanwhile is heard"
        outlet.say("third\n")
        stream.read.set()
    assert stream.getvalue() == "first\n"


def test_a_full_pipe() -> None:
    with full_pipe() as (reader, stream):
        outlet = Outlet(stream)
        long = "x" * 3 * PIPE_BYTES
        outlet.say(f"é{long}\n")
        assert not outlet.flush(at_once_s)
        stream.flush()  # which would wait if the outlet held the stream's lock
        assert read_exactly(reader, PIPE_BYTES) == bytes(PIPE_BYTES)
        assert read_exactly(reader, len(long) + 5).decode() == f"\\xe9{long}\n"
        assert outlet.close(guard_s)


def test_a_full_pipe_that_somebody_has_made_non_blocking() -> None:
    with full_pipe() as (reader, stream):
        os.set_blocking(stream.fileno(), False)
        outlet = Outlet(stream)
        outlet.say("said\n")
        assert not outlet.flush(at_once_s)
        assert read_exactly(reader, PIPE_BYTES) == bytes(PIPE_BYTES)
        assert read_exactly(reader, 5) == b"said\n"
        assert outlet.close(guard_s)
        assert not outlet.is_gone


@pytest.mark.parametrize(
    ("stops", "others", "shown"), [(True, True, b""), (True, False, b"picture"), (False, True, b"picture")]
)
def test_a_terminal_for_others_alone_gets_no_picture(
    stops: bool, others: bool, shown: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "tcgetpgrp", lambda descriptor: os.getpgrp() + others)
    reader, writer = pty.openpty()
    with open(reader, "rb", buffering=0), open(writer, "w") as stream:
        how = termios.tcgetattr(writer)
        how[3] = how[3] | termios.TOSTOP if stops else how[3] & ~termios.TOSTOP
        termios.tcsetattr(writer, termios.TCSANOW, how)
        outlet = Outlet(stream)
        outlet.show(lambda: "picture")
        assert outlet.flush(guard_s)
        outlet.say("said\n")
        assert outlet.close(guard_s)
        assert read_exactly(reader, len(shown) + 6) == shown + b"said\r\n"


@pytest.mark.parametrize("is_said", [False, True], ids=["a picture", "a line"])
def test_a_defect_is_told_once_and_all_that_is_said_is_written(is_said: bool) -> None:
    def defect() -> str:
        raise TypeError("no picture")

    stream = io.StringIO()
    outlet = Outlet(stream)
    outlet.say("first\n")
    if is_said:
        outlet.say("plain\n", defect)
    else:
        outlet.show(defect)
    assert outlet.flush(guard_s), "nobody waits for a thread that has ended"
    told = stream.getvalue()
    assert told.startswith("first\n\nfetch-batch: nothing is drawn any more")
    assert told.endswith("TypeError: no picture\n" + "plain\n" * is_said)
    outlet.show(lambda: "picture")
    outlet.show(defect)
    outlet.say("last\n", lambda: "drawn\n")
    assert outlet.close(guard_s)
    assert stream.getvalue() == f"{told}last\n"
    assert not outlet.is_gone


def test_a_stream_that_takes_nothing_holds_up_nobody() -> None:
    stream = io.StringIO()
    stream.close()  # a ValueError, and no OSError
    outlet = Outlet(stream)
    outlet.say("said\n")
    assert outlet.close(guard_s)
    assert outlet.is_gone


def test_one_line_for_nobody() -> None:
    with full_pipe() as (reader, stream):
        tell(stream, "said", limit_s=0.0)
        read_exactly(reader, PIPE_BYTES)
        assert read_exactly(reader, 5) == b"said\n", "it was under way, and stays so"


def test_nobody_can_read_it_any_more() -> None:
    with full_pipe() as (reader, stream):
        outlet = Outlet(stream)
        outlet.say("one\n")
        outlet.say("two\n")
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), reader)
        assert outlet.close(guard_s)
        assert outlet.is_gone
        print("what others write there costs them nothing", file=stream, flush=True)
