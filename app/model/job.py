"""Job options: what holds for every request of one submission."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

BodyForm = Literal["none", "text", "base64"]
RobotsMode = Literal["obey", "ignore"]


class FetchOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How requests are fetched and what of the answer goes into the record.

    timeout_s  deadline of one whole fetch, unless the request has its own
    retries    tries after the first
    body       whether and how the record carries the body
    headers    sent with every request; a request's own header of the same name wins
    robots     whether each origin's robots.txt is asked for leave
    timing     whether the record carries where the final hop's time went
    """

    timeout_s: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    retries: Annotated[int, Meta(ge=0, le=100)] = 2
    body: BodyForm = "none"
    headers: dict[str, str] = {}
    robots: RobotsMode = "ignore"
    timing: bool = False
