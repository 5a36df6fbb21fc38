"""Frames over real socket pairs: what comes out is what went in, what is broken is said, no descriptor is left."""

from __future__ import annotations

import _socket
import array
import os
import socket
from collections.abc import Iterator

import pytest

from app.cpu.isolated_frames import (
    BUFFER_BYTES,
    PIECE_BYTES,
    BrokenFrame,
    Kind,
    make_roomy,
    receive,
    sealed_memory,
    send,
)

Pair = tuple[_socket.socket, _socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    before = set(os.listdir("/proc/self/fd"))
    left, right = _socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (left, right):
        end.setblocking(False)
    yield left, right
    left.close()
    right.close()
    assert set(os.listdir("/proc/self/fd")) <= before


@pytest.fixture
def buffer() -> bytearray:
    return bytearray(BUFFER_BYTES)


def test_a_body_goes_inline(pair: Pair, buffer: bytearray) -> None:
    limit = make_roomy(pair[0])
    whole = os.urandom(limit)
    for parts in ([], [b""], [b"x"], [whole], [whole[:7], bytearray(whole[7:10]), b"", memoryview(whole)[10:]]):
        send(pair[0], Kind.RUN, 7, "modül:f", parts)
        frame = receive(pair[1], buffer)
        assert frame is not None
        assert (frame.kind, frame.task, frame.name, frame.descriptor) == (Kind.RUN, 7, "modül:f", None)
        assert bytes(frame.body) == b"".join(parts)


def test_a_large_body_goes_in_sealed_memory(pair: Pair, buffer: bytearray) -> None:
    body = os.urandom(1 + 3 * PIECE_BYTES)
    pauses: list[int] = []
    descriptor = sealed_memory([body[:1], b"", memoryview(body)[1:]], lambda: pauses.append(1))
    send(pair[0], Kind.VALUE, 8, descriptor=descriptor)
    os.close(descriptor)
    frame = receive(pair[1], buffer)
    assert frame is not None
    assert frame.descriptor is not None
    assert len(pauses) == 1 + 3
    assert not os.get_inheritable(frame.descriptor)
    assert os.pread(frame.descriptor, len(body) + 1, 0) == body
    with pytest.raises(PermissionError):
        os.pwrite(frame.descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(frame.descriptor, 0)
    os.close(frame.descriptor)


def test_memory_that_is_given_up_half_way_is_closed(pair: Pair) -> None:
    def give_up() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sealed_memory([bytes(10)], give_up)


def test_the_end_is_none(pair: Pair, buffer: bytearray) -> None:
    with pytest.raises(BlockingIOError):
        receive(pair[1], buffer)
    pair[0].shutdown(socket.SHUT_RDWR)
    assert receive(pair[1], buffer) is None


@pytest.mark.parametrize("packet", [b"x", b"\x02\0\0\0\0\xff\xff", b"\x02\0\0\0\0\x01\0\xff", bytes(BUFFER_BYTES + 1)])
def test_what_is_no_frame_is_said_and_its_descriptors_closed(pair: Pair, buffer: bytearray, packet: bytes) -> None:
    make_roomy(pair[0])
    with open(os.devnull) as file:
        rights = array.array("i", [file.fileno()])
        pair[0].sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    with pytest.raises(BrokenFrame):
        receive(pair[1], buffer)


@pytest.mark.parametrize("count", [2, 5])
def test_of_more_than_one_descriptor_none_is_left(pair: Pair, buffer: bytearray, count: int) -> None:
    with open(os.devnull) as file:
        rights = array.array("i", [file.fileno()] * count)
        pair[0].sendmsg([b"\x02\0\0\0\0\0\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    try:
        frame = receive(pair[1], buffer)
    except BrokenFrame:
        return
    # CMSG_SPACE is rounded up: some kernels have room for two, and the second is closed.
    assert frame is not None
    assert frame.descriptor is not None
    os.close(frame.descriptor)
