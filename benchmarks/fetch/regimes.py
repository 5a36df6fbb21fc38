"""The regimes: what is fetched, from which kind of origin, how much at a time, and which clients can do it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from benchmarks.common import regime

SMALL_BYTES = 1024
PAGE_BYTES = 17 * 1024

QUICK_HOSTS = 500


class OriginKind(StrEnum):
    """What answers. How each is set up: benchmarks/fetch/origins.py."""

    PLAIN = "plain"  # nginx, HTTP/1.1, connections kept
    TLS = "tls"  # nginx, HTTPS, HTTP/1.1, connections kept
    HTTP2 = "http2"  # nginx, HTTPS, HTTP/2 and nothing else
    TLS_ONCE = "tls-once"  # nginx, HTTPS, one answer per connection, no session resumed
    SLOW_HOSTS = "slow-hosts"  # many loopback addresses that each answer after 1 s


class KeyKind(StrEnum):
    """Of a certificate."""

    ECDSA = "ecdsa"  # P-256. The origin signs some twenty times faster than with RSA, so handshakes cost the client
    RSA = "rsa"  # 2,048 bits. The client verifies faster, and the origin sets the pace


class Regime(regime.Regime, frozen=True):
    """As in benchmarks/common/regime.py.

    origin       its kind
    key          of its certificate, where there is TLS
    body_bytes   of every answer
    concurrency  fetches in flight
    warm_up_s    before the count begins
    duration_s   of the count
    """

    origin: OriginKind
    key: KeyKind = KeyKind.ECDSA
    body_bytes: int = PAGE_BYTES
    concurrency: int = 100
    warm_up_s: float = 1.0
    duration_s: float = 4.0

    @property
    def is_tls(self) -> bool:
        return self.origin in (OriginKind.TLS, OriginKind.HTTP2, OriginKind.TLS_ONCE)

    @property
    def is_http2(self) -> bool:
        return self.origin is OriginKind.HTTP2


_OURS = ("percore-fetch", "percore-get", "curl-adapter")
# A thread each is not meant for thousands. Neither is httpx's pool, which goes through all connections for each
# waiting request whenever one comes or goes (httpcore, _assign_requests_to_connections): with 5,000 in flight a run of
# 18 s did not end within 132 s.
_THOUSANDS = (*_OURS, "requests-gevent", "geventhttpclient", "aiohttp", "go", "pycurl")
_ALL_HTTPS = (*_THOUSANDS, "httpx", "requests-threads")
_ALL = (*_ALL_HTTPS, "wrk")

REGIMES = (
    Regime("small", "1 KB, connections kept", _ALL, OriginKind.PLAIN, body_bytes=SMALL_BYTES),
    Regime("page", "17 KB, connections kept", _ALL, OriginKind.PLAIN),
    Regime("tls", "17 KB, HTTPS, HTTP/1.1, connections kept", _ALL_HTTPS, OriginKind.TLS),
    Regime("http2", "17 KB, HTTPS, HTTP/2", (*_OURS, "httpx", "go", "pycurl"), OriginKind.HTTP2),
    Regime(
        "handshakes",
        "17 KB, a new TLS connection for every fetch, verified against a full CA bundle",
        _ALL_HTTPS,
        OriginKind.TLS_ONCE,
    ),
    Regime(
        "handshakes-rsa",
        "the same with an RSA certificate, where the origin's CPU sets the pace: compare CPU us",
        _ALL_HTTPS,
        OriginKind.TLS_ONCE,
        key=KeyKind.RSA,
    ),
    Regime(
        "hosts",
        "17 KB, one fetch in flight to each of many hosts, answered after 1 s",
        _THOUSANDS,
        OriginKind.SLOW_HOSTS,
        concurrency=5000,
        warm_up_s=8.0,
        duration_s=10.0,
    ),
    Regime(
        "engine",
        "17 KB, connections kept; fetch-batch: one worker, stage sha256, JSONL out",
        ("percore-fetch", "fetch-batch"),
        OriginKind.PLAIN,
        duration_s=8.0,
    ),
)
"""In the order in which they run."""


def quick(regime: Regime) -> Regime:
    """The same, to see that it works; its figures mean nothing."""
    many = regime.origin is OriginKind.SLOW_HOSTS
    return msgspec.structs.replace(
        regime,
        concurrency=min(regime.concurrency, QUICK_HOSTS),
        warm_up_s=2.0 if many else 0.3,
        duration_s=2.0 if many else 0.7,
    )
