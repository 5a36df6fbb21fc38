"""Stored answer: what is kept of an answer, and its form as bytes in a file.

The law: an answer is stored as it came, content codings included and but for its transfer coding, so that what is
made of it later is what would have been made of it then: the decoded body, its length, the WARC's record. Under
requests' own transport only the decoded body is there; the stored answer says so.

A file is a mark, a checksum (CRC-32) of all that follows, the length of the description, the description, the body.
What does not fit is no stored answer: so what a power failure left of a file does no harm, nor does who reads while the
description is replaced.
"""

from __future__ import annotations

import struct
import zlib
from hashlib import blake2b

import msgspec

from app.policy.caching import Terms

_MARK = b"PcC1"
_BEGINNING = struct.Struct("<4sI")
_LENGTH = struct.Struct("<I")
_ABOUT_AT = _BEGINNING.size + _LENGTH.size
FAMILY_BYTES = 8
_NAME_BYTES = 16


class StoredAnswer(msgspec.Struct, frozen=True, array_like=True):
    """One stored answer.

    name          of its file: see `name_of` and `variant_name`
    family        of all variants of its URL, since the URL was last forgotten
    variant       digest of what in the request it depends on: see `variant_of`
    head          lines of its head, as app.fetching.head has them
    is_decoded    the body's content codings are undone
    protocol      as app.model.timing has it, "" if not known
    requested_s   seconds since the epoch at which it was asked for
    body          not part of the description
    """

    name: str
    family: bytes
    variant: bytes
    head: tuple[bytes, ...]
    is_decoded: bool
    protocol: str
    requested_s: float
    terms: Terms
    body: bytes = b""

    def pieces(self) -> tuple[bytes, bytes, bytes]:
        """The file's content: its beginning, the description, the body."""
        about = _encoder.encode(msgspec.structs.replace(self, body=b""))
        length = _LENGTH.pack(len(about))
        checksum = zlib.crc32(self.body, zlib.crc32(about, zlib.crc32(length)))
        return _BEGINNING.pack(_MARK, checksum) + length, about, self.body

    def amendment(self, newer: StoredAnswer) -> bytes | None:
        """What to put at the file's beginning so that it is `newer`'s, whose body is the same; None if it has to be
        written anew.
        """
        beginning, about, _ = newer.pieces()
        mine = _encoder.encode(msgspec.structs.replace(self, body=b""))
        return beginning + about if self.name == newer.name and len(mine) == len(about) else None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(StoredAnswer)


def stored_answer_of(data: bytes | bytearray, name: str) -> StoredAnswer | None:
    """The stored answer in a file's content; None if it is none, or another's."""
    if len(data) < _ABOUT_AT:
        return None
    mark, checksum = _BEGINNING.unpack_from(data)
    view = memoryview(data)
    if mark != _MARK or zlib.crc32(view[_BEGINNING.size :]) != checksum:
        return None
    end = _ABOUT_AT + _LENGTH.unpack_from(data, _BEGINNING.size)[0]
    try:
        about = _decoder.decode(view[_ABOUT_AT:end])
    except (msgspec.DecodeError, ValueError):
        return None
    if about.name != name:
        return None
    return msgspec.structs.replace(about, body=bytes(view[end:]))


def name_of(scope: str, method: str, url: str) -> str:
    """The file of a URL's answer. scope: whose answers they are."""
    return blake2b(f"{scope}\n{method} {url}".encode("utf-8", "surrogatepass"), digest_size=_NAME_BYTES).hexdigest()


def variant_of(values: tuple[tuple[str, str | None], ...]) -> bytes:
    """Digest of the headers that an answer depends on. So no secret of a request is on the disk."""
    return blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=_NAME_BYTES).digest()


def variant_name(stored: StoredAnswer, variant: bytes) -> str:
    """The file of another variant than the one in the URL's own file. Once that is forgotten, nobody finds it."""
    return blake2b(stored.name.encode() + stored.family + variant, digest_size=_NAME_BYTES).hexdigest()
