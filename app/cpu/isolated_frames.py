"""Frames between a process and its isolated child: what one message looks like on their socket pair.

The law: one message is one packet (SOCK_SEQPACKET, unix(7)), so it is there whole or not at all, and no send can stop
half-way: each side sends one at a time and waits for the answer. What is too large for a packet goes as a memfd
beside it (SCM_RIGHTS), sealed, so that neither side can change or cut what the other reads (memfd_create(2)).

Standard library only: the child imports it before anything else. Both sides are always of one version.
"""

from __future__ import annotations

import _socket
import array
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

# Kind, number of the task, bytes of the name behind it. The rest is the body.
_HEADER = struct.Struct("<BIH")
_DESCRIPTOR_BYTES = array.array("i").itemsize

INLINE_BYTES = 256 * 1024
"""Larger bodies go as a memfd: measured, a packet is five times faster up to here, and the kernel must hold it."""

PIECE_BYTES = 512 * 1024
"""How much of a memfd is copied in one go where a hub waits meanwhile: about 0.2 ms."""

BUFFER_BYTES = INLINE_BYTES + 8192
"""What a receiver has room for: a body and a name."""

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


Buffer = bytes | bytearray | memoryview


class Kind(IntEnum):
    READY = 1
    """Child: it is there."""
    RUN = 2
    """Parent: call the function `name` with the body."""
    VALUE = 3
    """Child: what it returned."""
    RAISED = 4
    """Child: what it raised: a JSON array of type, message, traceback."""
    LAST = 5
    """Child: as RAISED, and it is not to be used again."""


class BrokenFrame(Exception):
    """What came is no frame, or its descriptor got lost."""


class Frame(NamedTuple):
    """body: inside the buffer it was received into. descriptor: the receiver's to close; the body is in there."""

    kind: int
    task: int
    name: str
    body: memoryview
    descriptor: int | None


def make_roomy(end: _socket.socket) -> int:
    """Have one end take whole packets; returns the largest body that it takes inline, below `INLINE_BYTES` where the
    system's `net.core.wmem_max` is small."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return max(0, min(INLINE_BYTES, end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - 16_384))


def send(
    end: _socket.socket,
    kind: Kind,
    task: int = 0,
    name: str = "",
    body: Sequence[Buffer] = (),
    descriptor: int | None = None,
) -> None:
    """Send one message; with a `descriptor`, which stays the caller's, in place of the body. Raises OSError.

    body  its parts, which the receiver finds joined
    """
    encoded = name.encode()
    rights = []
    if descriptor is not None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        body = ()
    end.sendmsg([_HEADER.pack(kind, task, len(encoded)) + encoded, *body], rights, socket.MSG_NOSIGNAL)


def receive(end: _socket.socket, buffer: bytearray) -> Frame | None:
    """Take one message; None at the end. `buffer`: of BUFFER_BYTES. Raises BrokenFrame, OSError (BlockingIOError for
    a socket that does not block).
    """
    length, ancillary, flags, _ = end.recvmsg_into(
        [buffer], socket.CMSG_SPACE(_DESCRIPTOR_BYTES), socket.MSG_CMSG_CLOEXEC
    )
    descriptors = array.array("i")
    for level, kind_of_data, data in ancillary:
        if (level, kind_of_data) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) - len(data) % _DESCRIPTOR_BYTES])
    if not length and not descriptors:
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise BrokenFrame("too large, or no descriptor is left for it")
        kind, task, name_bytes = _HEADER.unpack_from(buffer)
        body_at = _HEADER.size + name_bytes
        if body_at > length:
            raise BrokenFrame("cut short")
        name = buffer[_HEADER.size : body_at].decode()
    except (struct.error, UnicodeDecodeError) as error:
        _close_all(descriptors)
        raise BrokenFrame(str(error)) from None
    except BrokenFrame:
        _close_all(descriptors)
        raise
    _close_all(descriptors[1:])
    return Frame(kind, task, name, memoryview(buffer)[body_at:length], descriptors[0] if descriptors else None)


def sealed_memory(body: Sequence[Buffer], pause: Callable[[], object] = lambda: None) -> int:
    """A sealed memfd with that content; its descriptor is the caller's to close. Raises OSError.

    body   its parts
    pause  called between pieces: may yield to the hub, may raise
    """
    descriptor = os.memfd_create("percore-stage", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for part in body:
            rest = memoryview(part).cast("B")
            while rest:
                rest = rest[os.write(descriptor, rest[:PIECE_BYTES]) :]
                pause()
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _close_all(descriptors: array.array[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
