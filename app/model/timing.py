"""Timing: where the time of one hop went, and over what connection."""

from __future__ import annotations

import msgspec


class Timing(msgspec.Struct, frozen=True):
    """Where a transfer's time went: seconds since its start, each the end of a phase.

    name_s        the name was looked up (by us, before libcurl began); 0.0 if it was known
    connect_s     connected; 0.0 on a reused connection
    tls_s         TLS was agreed on; 0.0 without TLS or on a reused connection
    first_byte_s  the first byte of the answer had come
    total_s       the end
    is_reused     the connection had served before
    protocol      "HTTP/1.1" and so on
    """

    name_s: float
    connect_s: float
    tls_s: float
    first_byte_s: float
    total_s: float
    is_reused: bool
    protocol: str
