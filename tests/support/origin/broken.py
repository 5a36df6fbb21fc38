"""Answers that break HTTP, or break off."""

from __future__ import annotations

from tests.support.origin.answers import ok
from tests.support.origin.bodies import DEFAULT_BYTES, body_of
from tests.support.origin.exchange import Exchange
from tests.support.origin.registry import fault

_BODY = body_of(DEFAULT_BYTES)
_HALF = DEFAULT_BYTES // 2
_SIZED = [("Content-Type", "text/html"), ("Content-Length", str(DEFAULT_BYTES))]
_CHUNKED = [("Content-Type", "text/html"), ("Transfer-Encoding", "chunked")]

# --- the connection ends -----------------------------------------------------------------------------------------


@fault("drop")
async def drop(exchange: Exchange) -> None:
    """Closes (FIN) without a byte. On a reused connection a client may rightly ask again: it may just be old."""
    exchange.drop()


@fault("drop-after-headers")
async def drop_after_headers(exchange: Exchange) -> None:
    """A head that promises 2,000 bytes, then FIN."""
    await exchange.send_head(200, _SIZED)
    exchange.drop()


@fault("drop-in-headers")
async def drop_in_headers(exchange: Exchange) -> None:
    """A status line and one header, then FIN: the head never ends."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")
    exchange.drop()


@fault("reset")
async def reset(exchange: Exchange) -> None:
    """RST without a byte."""
    exchange.reset()


@fault("reset-mid-body")
async def reset_mid_body(exchange: Exchange) -> None:
    """A head that promises 2,000 bytes, half of them, then RST."""
    await exchange.send_head(200, _SIZED)
    await exchange.send_body(_BODY[:_HALF])
    exchange.reset()


@fault("truncate")
async def truncate(exchange: Exchange) -> None:
    """A head that promises 2,000 bytes, half of them, then FIN."""
    await exchange.send_head(200, _SIZED)
    await exchange.send_body(_BODY[:_HALF])
    exchange.drop()


@fault("truncate-chunked")
async def truncate_chunked(exchange: Exchange) -> None:
    """One whole chunk, half of a second one, then FIN: the last chunk never comes."""
    await exchange.send_head(200, _CHUNKED)
    await exchange.send_chunk(_BODY[:_HALF])
    await exchange.send_body(b"%x\r\n" % _HALF + _BODY[_HALF : _HALF + _HALF // 2])
    exchange.drop()


# --- the framing lies --------------------------------------------------------------------------------------------


@fault("bad-chunk")
async def bad_chunk(exchange: Exchange) -> None:
    """One whole chunk, then a chunk whose size is no number."""
    exchange.keep_alive = False
    await exchange.send_head(200, _CHUNKED)
    await exchange.send_chunk(_BODY[:_HALF])
    await exchange.send_body(b"some\r\n" + _BODY[_HALF:] + b"\r\n0\r\n\r\n")


@fault("overlong")
async def overlong(exchange: Exchange) -> None:
    """A head that promises 1,000 bytes and 2,000 of them; the connection stays open, with the surplus on it."""
    await exchange.send_head(200, [("Content-Type", "text/html"), ("Content-Length", str(_HALF))])
    await exchange.send_body(_BODY)


@fault("late-body")
async def late_body(exchange: Exchange, status: int = 304) -> None:
    """STATUS (204 or 304), which has no body; six bytes of one come all the same with the next answer."""
    await exchange.send_head(status, [])
    exchange.send_late(b"stray\n")


# --- the head is wrong -------------------------------------------------------------------------------------------


@fault("bad-status-line")
async def bad_status_line(exchange: Exchange) -> None:
    """A status line whose status is a word."""
    exchange.keep_alive = False
    await exchange.send(b"HTTP/1.1 fine OK\r\nContent-Length: 0\r\n\r\n")


@fault("not-http")
async def not_http(exchange: Exchange) -> None:
    """The greeting of another protocol in place of an answer."""
    exchange.keep_alive = False
    await exchange.send(b"220 harbour.invalid ESMTP ready\r\n")


@fault("bad-header")
async def bad_header(exchange: Exchange) -> None:
    """A head with a line that has no colon; otherwise as `ok`."""
    await exchange.send(_ok_head(b"this line is no header"))
    await exchange.send_body(_BODY)


@fault("nul-header")
async def nul_header(exchange: Exchange) -> None:
    """A header whose value holds a NUL byte; otherwise as `ok`."""
    await exchange.send(_ok_head(b"X-Nul: before\0after"))
    await exchange.send_body(_BODY)


@fault("header-flood")
async def header_flood(exchange: Exchange, length_bytes: int = 1 << 20) -> None:
    """A head of LENGTH_BYTES or a little more, in headers of about 100 bytes each; then as `ok`."""
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    sent = number = 0
    while sent < length_bytes:
        block = b"".join(b"X-Flood-%07d: %b\r\n" % (number + n, b"x" * 80) for n in range(100))
        await exchange.send(block)
        sent, number = sent + len(block), number + 100
    await exchange.send(b"Content-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(_BODY))
    await exchange.send_body(_BODY)


@fault("many-1xx")
async def many_1xx(exchange: Exchange, times: int = 100) -> None:
    """That many interim answers (103), then `ok`."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    for _ in range(times):
        await exchange.send(interim)
    await ok(exchange)


def _ok_head(extra_line: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n%b\r\nContent-Length: %d\r\n\r\n" % (extra_line, len(_BODY))
