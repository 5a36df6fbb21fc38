"""Page sink: what is kept of a shard's pages besides their records: captures for the WARC, bodies for the body store.

The order is the promise. A page is stored before its record is appended, and the record names what was stored: so a
record without its page can't be, and a page without its record is passed over when the shard is finished. After a
power cut, which may take back what was not flushed, a record whose page is gone does not count (`is_kept`): its
request is fetched again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

from app.errors import OutputError
from app.fetching.curl_transport import CurlTransport
from app.fetching.exchanges import exchanges_of
from app.fetching.page import Page
from app.files.reasons import reason_of
from app.sinks.body_store import BodyStore
from app.sinks.capture_part import CapturePart
from app.sinks.outputs import PageOutputs, captures_path, warc_path
from app.sinks.warc import capture, warcinfo

# Below this a thread costs more than it spares: packing takes some 10 us for each KB.
_ASIDE_BYTES = 32 * 1024


class Stored(Protocol):
    """What a record says of its page."""

    @property
    def bytes(self) -> int: ...
    @property
    def warc_id(self) -> Any: ...
    @property
    def body_sha256(self) -> Any: ...


class Aside(Protocol):
    """Calls a function where it does not hold the hub up, and returns its value."""

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any: ...


def here(function: Callable[..., Any], *args: Any) -> Any:
    """Where it would."""
    return function(*args)


class PageSink:
    """Of one shard. Open it, store, then `finish` or `close`.

    outputs  what is kept
    part     the shard's part file: captures lie beside it while the shard is under way
    final    the shard's final file: its WARC comes beside it
    aside    for what takes CPU time: packing and digests of large pages
    wall_s   seconds since the epoch; new_id  makes identifiers

    Raises OutputError whenever the file system refuses.
    """

    def __init__(
        self,
        outputs: PageOutputs,
        part: Path,
        final: Path,
        *,
        aside: Aside = here,
        wall_s: Callable[[], float] = time.time,
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._final = warc_path(final)
        self._aside = aside
        self._wall_s = wall_s
        self._new_id = new_id
        self._captures: CapturePart | None = None
        if outputs.warc:
            CurlTransport.note_addresses()
            self._captures = CapturePart(captures_path(part))
        self._bodies: BodyStore | None = None
        if outputs.bodies is not None:
            # Whoever takes the shard up again has the same slot, and clears it.
            slot = hashlib.sha256(bytes(part.resolve())).hexdigest()[:16]
            self._bodies = BodyStore(Path(outputs.bodies), slot)

    def store(self, index: int, page: Page) -> dict[str, str]:
        """Store a final page, all its hops with it; what its record is to say of it, by field.

        Yields to the hub if `aside` does, and then nothing is stored until it is back.
        """
        fields: dict[str, str] = {}
        body = page.body
        run = self._aside if len(body) >= _ASIDE_BYTES else here
        if self._bodies is not None:
            sha256 = run(_sha256, body)
            self._bodies.put(sha256, body)
            fields["body_sha256"] = sha256
        if self._captures is not None:
            final_id = self._new_id()
            made = run(capture, exchanges_of(page), index, final_id, self._new_id, self._wall_s())
            self._captures.append(final_id, made)
            fields["warc_id"] = final_id.urn
        return fields

    def is_kept(self, record: Stored) -> bool:
        """Whether all that a record of an earlier run names is here and whole. A record may name nothing."""
        if self._captures is not None and isinstance(record.warc_id, str):
            identifier = _identifier(record.warc_id)
            if identifier is None or not self._captures.holds(identifier):
                return False
        if self._bodies is not None and isinstance(record.body_sha256, str):
            if self._bodies.holds(record.body_sha256, record.bytes):
                return True
            self._bodies.discard(record.body_sha256)
            return False
        return True

    def finish(self, warc_ids: Iterable[str]) -> None:
        """Write the shard's WARC, the captures of these final responses in this order, and flush all to the disk.

        May be called again after a kill. The shard's own final file comes after this, and then `drop`.
        """
        if self._bodies is not None:
            self._bodies.flush()
        if self._captures is not None:
            beginning = warcinfo(self._new_id(), self._wall_s())
            identifiers = [UUID(warc_id) for warc_id in warc_ids]
            self._captures.finish(beginning, identifiers, self._final)

    def close(self) -> None:
        """Leave all as it is, to be taken up again."""
        if self._captures is not None:
            self._captures.close()

    def drop(self) -> None:
        """The shard is finished: be rid of what was only needed on the way."""
        if self._captures is not None:
            try:
                self._captures.drop()
            except OSError as error:
                raise OutputError(f"can't clear up: {reason_of(error)}: {error.filename}") from error


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _identifier(urn: str) -> UUID | None:
    try:
        return UUID(urn)
    except ValueError:
        return None
