"""Dedupe: of requests that are the same the first one stays; the later ones become blank lines.

The law: what was seen lies on disk, so memory does not follow the number of lines; and what is dropped follows from
the lines alone, so a resumed run drops the same ones. A dropped line keeps its number and has no record: it is only
counted.

Requests are the same when all that is sent is: canonical URL (app.policy.canonical), method, headers, body. Stored
responses, unreadable lines and lines that are no request are never dropped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec

from app.errors import OutputError
from app.policy.canonical import canonical_url
from app.sources.forms import JSON, URL

_NAME = "seen.sqlite"

# Of pages that SQLite keeps in memory. What is not there comes from the file, by way of the kernel's cache.
_CACHE_KIB = 32 * 1024

# Two different requests of ten million have the same 96 bits with a chance below 1e-15.
_KEY_BYTES = 8
_CHECK_BYTES = 4


class _Sent(msgspec.Struct):
    """What of a request object is sent."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    body: str | None = None


_decoder = msgspec.json.Decoder(_Sent)


def request_key(line: bytes) -> bytes | None:
    """What the request on a line (app.sources.forms) is told by; None for a line that is never dropped."""
    tag, text = line[:1], line[1:].strip()
    if tag == URL:
        if not text or text.startswith(b"#"):
            return None
        return canonical_url(text.decode(errors="surrogateescape")).encode(errors="surrogateescape")
    if tag != JSON:
        return None
    try:
        sent = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    url = canonical_url(sent.url.strip())
    if sent.method.upper() == "GET" and sent.body is None and not sent.headers:
        return url.encode(errors="surrogatepass")
    headers = sorted((name.lower(), value) for name, value in sent.headers.items())
    # A line feed stands in no URL, so this is none of the keys above.
    return b"\n" + msgspec.msgpack.encode((url, sent.method.upper(), headers, sent.body))


class Unique:
    """`lines`, of which those whose request was there before are blank. To be iterated over once, in any one thread.

    folder  where what was seen is kept while it is needed: about 20 bytes a line
    key     what tells a request, None for a line to be let through
    Raises OutputError when the disk is full or broken.
    """

    def __init__(
        self, lines: Iterable[bytes], folder: Path, key: Callable[[bytes], bytes | None] = request_key
    ) -> None:
        self._lines = lines
        self._path = folder / _NAME
        self._key = key
        self.dropped = 0
        """Lines that were dropped by now; may be asked for in any thread."""

    def __iter__(self) -> Iterator[bytes]:
        try:
            seen = _Seen(self._path)
            try:
                for line in self._lines:
                    key = self._key(line)
                    if key is None or seen.add(key):
                        yield line
                    else:
                        self.dropped += 1
                        yield b""
            finally:
                seen.close()
        except sqlite3.Error as error:
            raise OutputError(f"can't note in {self._path} which requests were seen: {error}") from error


class _Seen:
    """A set of keys on disk, made anew: what an earlier run left is not needed, since its lines are read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        # Used by one thread, which need not be the one that closes it.
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in (
            f"cache_size = -{_CACHE_KIB}",
            # Nothing of it outlives the run, so nothing of it must be safe.
            "journal_mode = OFF",
            "synchronous = OFF",
            "locking_mode = EXCLUSIVE",
        ):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE seen (key INTEGER PRIMARY KEY, rest INTEGER NOT NULL)")
        self._database.execute("BEGIN")
        self._cursor = self._database.cursor()

    def add(self, key: bytes) -> bool:
        """Whether it was not there."""
        digest = blake2b(key, digest_size=_KEY_BYTES + _CHECK_BYTES).digest()
        row = (
            int.from_bytes(digest[:_KEY_BYTES], "little", signed=True),
            int.from_bytes(digest[_KEY_BYTES:], "little"),
        )
        cursor = self._cursor
        if cursor.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", row).rowcount:
            return True
        # One whose key another has taken is let through, and lost sight of: better fetched twice than never.
        found: tuple[int] = cursor.execute("SELECT rest FROM seen WHERE key = ?", row[:1]).fetchone()
        return found[0] != row[1]

    def close(self) -> None:
        self._database.close()
        self._path.unlink(missing_ok=True)
