"""Answer: what came back over libcurl, before anybody has looked into it.

Pages are made of it in isolated children too, which have no libcurl: so no pycurl and no gevent here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from app.model.timing import Timing

if TYPE_CHECKING:
    from app.fetching.curl_errors import TransferError


class Answer(msgspec.Struct):
    """See the module.

    head     lines of the final head (app.fetching.head)
    body     as it came, content codings included
    error    why the body is not whole, None if it is
    timing   see Timing
    address  of the origin that it came from, if that is noted (`note_addresses`) and no proxy stood between
    """

    head: Sequence[bytes]
    body: bytes
    error: TransferError | None
    timing: Timing
    address: str | None = None
