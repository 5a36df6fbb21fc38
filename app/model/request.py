"""Request: what a user asks to be fetched; StoredResponse: what was fetched before; Entry: its place in a job.

Validated once, frozen afterwards.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.model.origin import Origin
from app.model.outcome import Failure

TimeoutSeconds = Annotated[float, Meta(gt=0, le=86_400)]

# A token of RFC 9110 section 5.6.2.
Method = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}$")]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One request of a job, as in a JSON object of an input line or of the HTTP interface.

    url        absolute; `app.policy.urls.origin_of` says whether it can be fetched
    body       text, sent as UTF-8
    timeout_s  deadline of the whole fetch; None takes the job's
    id, meta   the user's own, carried through to the record untouched; an id of null is none, as exporters write it
    """

    url: str
    method: Method = "GET"
    headers: dict[str, str] = {}
    body: str | None = None
    timeout_s: TimeoutSeconds | None = None
    id: str | int | UnsetType | None = UNSET
    meta: Any | UnsetType = UNSET


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response that a WARC file keeps: it is processed as if it had been fetched now, and nothing is contacted.

    Never made from what a user writes, for it names a file of this machine.

    url           that was fetched then
    path          of the file, absolute, as the file system has it
    member_bytes, skip_bytes  where its record begins: see app.files.unpacked.Place
    id, meta      of the WARC record, for ours
    """

    url: str
    path: bytes
    member_bytes: int
    skip_bytes: int
    id: str | int | UnsetType = UNSET
    meta: Any | UnsetType = UNSET


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of an input: its place, and a request or the reason why it is none.

    index    0-based number of the line
    request  what to fetch, what was fetched before, or the failure that its record shall carry
    url      as written, for the record; of a line that can't be read, its first 2,000 characters
    id, meta of a line that can't be read, where it has them all the same
    origin   of a request's URL, where that was looked at
    """

    index: int
    request: Request | StoredResponse | Failure
    url: str
    id: str | int | UnsetType | None = UNSET
    meta: Any | UnsetType = UNSET
    origin: Origin | None = None

    @property
    def given_id(self) -> str | int | UnsetType:
        """The user's id for the record."""
        given = self.id if isinstance(self.request, Failure) else self.request.id
        return UNSET if given is None else given

    @property
    def given_meta(self) -> Any | UnsetType:
        """The user's meta for the record."""
        return self.meta if isinstance(self.request, Failure) else self.request.meta
