"""Answers that keep to HTTP: plain, late, refused, compressed, encoded, or different at the second time of asking."""

from __future__ import annotations

import asyncio
import base64
import codecs
import gzip as gzip_format
import itertools
import json as json_format
import struct
import time
import zlib
from email.utils import formatdate
from urllib.parse import parse_qsl

import brotli

from tests.support.origin.bodies import BLOCK_BYTES, DEFAULT_BYTES, blocks_of, body_of, charset_page, html_page
from tests.support.origin.exchange import Exchange
from tests.support.origin.registry import BadCall, fault, find_fault

# --- plain -----------------------------------------------------------------------------------------------------


@fault("ok")
async def ok(exchange: Exchange, length_bytes: int = DEFAULT_BYTES) -> None:
    """200, text/html, `body_of(LENGTH_BYTES)`: the same bytes for the same length."""
    await exchange.answer(body_of(length_bytes))


@fault("html")
async def html(exchange: Exchange, name: str = "1") -> None:
    """200, a page in UTF-8 with a title that holds NAME, a declared charset and links of every common form."""
    await exchange.answer(html_page(name), content_type="text/html; charset=utf-8")


@fault("json")
async def json(exchange: Exchange) -> None:
    """200, application/json: an object with every kind of JSON value."""
    value = {"text": "Grüße ✓", "whole": 42, "real": 2.5, "true": True, "null": None, "list": [1, [2, {"three": 3}]]}
    await exchange.answer(json_format.dumps(value), content_type="application/json")


@fault("echo")
async def echo(exchange: Exchange) -> None:
    """200, the request as JSON: method, target, headers (pairs in order, names in lower case), body, body_base64."""
    asked = exchange.asked
    value = {
        "method": asked.method,
        "target": asked.target,
        "headers": asked.headers,
        "body": asked.body.decode("utf-8", "replace"),
        "body_base64": base64.b64encode(asked.body).decode(),
    }
    await exchange.answer(json_format.dumps(value), content_type="application/json")


@fault("status")
async def status(exchange: Exchange, code: int) -> None:
    """That status (200 to 999) with a short text; 204 and 304 without a body, as they must be."""
    if not 200 <= code <= 999:
        raise BadCall(400, "a final status is 200 to 999")
    await exchange.answer(f"status {code}\n", code, "text/plain")


@fault("big")
async def big(exchange: Exchange, length_bytes: int) -> None:
    """200, `body_of(LENGTH_BYTES)` streamed, with Content-Length: a client can tell at once how much will come."""
    await exchange.send_head(200, [("Content-Type", "text/html"), ("Content-Length", str(length_bytes))])
    for block in blocks_of(length_bytes):
        await exchange.send_body(block)


@fault("big-chunked")
async def big_chunked(exchange: Exchange, length_bytes: int) -> None:
    """200, `body_of(LENGTH_BYTES)` streamed in chunks: a client can't tell how much will come."""
    await exchange.send_head(200, [("Content-Type", "text/html"), ("Transfer-Encoding", "chunked")])
    for block in blocks_of(length_bytes):
        if block:
            await exchange.send_chunk(block)
    await exchange.send_chunk(b"")


@fault("no-content-length")
async def no_content_length(exchange: Exchange, length_bytes: int = DEFAULT_BYTES) -> None:
    """200, `body_of(LENGTH_BYTES)` that ends where the connection does (FIN)."""
    exchange.keep_alive = False
    await exchange.send_head(200, [("Content-Type", "text/html")])
    for block in blocks_of(length_bytes):
        await exchange.send_body(block)


# --- late ------------------------------------------------------------------------------------------------------


@fault("delay")
async def delay(exchange: Exchange, seconds: float, length_bytes: int = DEFAULT_BYTES) -> None:
    """Nothing for that long, then as `ok`."""
    await asyncio.sleep(seconds)
    await ok(exchange, length_bytes)


@fault("gate")
async def gate(exchange: Exchange, name: str, length_bytes: int = DEFAULT_BYTES) -> None:
    """Nothing until somebody POSTs /_open/NAME, then as `ok`: orders events without any sleeping."""
    await exchange.state.gate(name).wait_open()
    await ok(exchange, length_bytes)


@fault("stage")
async def stage(exchange: Exchange, name: str) -> None:
    """The head and the first byte of `ok` at once, the rest when the gate NAME opens."""
    body = body_of(DEFAULT_BYTES)
    await exchange.send_head(200, [("Content-Type", "text/html"), ("Content-Length", str(len(body)))])
    await exchange.send_body(body[:1])
    await exchange.state.gate(name).wait_open()
    await exchange.send_body(body[1:])


@fault("drip")
async def drip(exchange: Exchange, interval_s: float, count: int = 0) -> None:
    """200, then one byte of body every INTERVAL_S, without length; COUNT of them, 0 for no end."""
    exchange.keep_alive = False
    await exchange.send_head(200, [("Content-Type", "text/html")])
    for _ in range(count) if count else itertools.count():
        await exchange.send(b".")
        await asyncio.sleep(interval_s)


@fault("slow-headers")
async def slow_headers(exchange: Exchange, interval_s: float = 0.5) -> None:
    """The status line, then one byte of a header every INTERVAL_S; the head never ends."""
    exchange.keep_alive = False
    await exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        await exchange.send(b".")
        await asyncio.sleep(interval_s)


# --- different at the second time of asking --------------------------------------------------------------------


@fault("flaky")
async def flaky(exchange: Exchange, key: str, times: int) -> None:
    """The first TIMES requests for KEY are dropped without a byte, all later ones get `ok`."""
    if exchange.state.times_seen(f"flaky {key}") < times:
        exchange.drop()
    else:
        await ok(exchange)


@fault("flaky-status")
async def flaky_status(exchange: Exchange, key: str, times: int, code: int) -> None:
    """The first TIMES requests for KEY get that status, all later ones `ok`."""
    if exchange.state.times_seen(f"flaky-status {key}") < times:
        await status(exchange, code)
    else:
        await ok(exchange)


@fault("retry-after")
async def retry_after(exchange: Exchange, key: str, seconds: int) -> None:
    """The first request for KEY gets 429 with `Retry-After: SECONDS`, all later ones `ok`."""
    await _refuse_first(exchange, f"retry-after {key}", str(seconds))


@fault("retry-after-date")
async def retry_after_date(exchange: Exchange, key: str, seconds: int) -> None:
    """As retry-after, but the header holds the date that lies that far ahead (whole seconds, rounded down)."""
    await _refuse_first(exchange, f"retry-after-date {key}", formatdate(time.time() + seconds, usegmt=True))


async def _refuse_first(exchange: Exchange, key: str, retry_after_value: str, code: int = 429) -> None:
    if exchange.state.times_seen(key):
        await ok(exchange)
    else:
        await exchange.answer("too many\n", code, "text/plain", [("Retry-After", retry_after_value)])


@fault("set-cookie")
async def set_cookie(exchange: Exchange) -> None:
    """Sets a cookie for every NAME=VALUE of the query, then `ok`; `to=PATH` in the query makes it a redirect."""
    cookies = [("Set-Cookie", f"{name}={value}; Path=/") for name, value in exchange.asked.query if name != "to"]
    target = exchange.asked.query_value("to")
    if target:
        await exchange.redirect(target, headers=cookies)
    else:
        await exchange.answer(body_of(DEFAULT_BYTES), headers=cookies)


@fault("need-cookie")
async def need_cookie(exchange: Exchange, name: str) -> None:
    """`ok` if the request brings a cookie of that name, else 403."""
    given = (part.strip().partition("=")[0] for part in exchange.asked.header("cookie").split(";"))
    if name in given:
        await ok(exchange)
    else:
        await exchange.answer(f"no cookie {name}\n", 403, "text/plain")


@fault("retry-after-status")
async def retry_after_status(exchange: Exchange, key: str, code: int, seconds: int) -> None:
    """The first request for KEY gets that status with `Retry-After: SECONDS`, all later ones `ok`."""
    await _refuse_first(exchange, f"retry-after-status {key}", str(seconds), code)


@fault("robots.txt")
async def robots(exchange: Exchange) -> None:
    """What a test has set by /_robots: a text, or whatever another path is answered with; else 404."""
    if exchange.state.robots_play:
        found, arguments = find_fault(exchange.state.robots_play)
        await found.play(exchange, *arguments)
    elif exchange.state.robots_text:
        await exchange.answer(exchange.state.robots_text, content_type="text/plain")
    else:
        await status(exchange, 404)


@fault("fresh")
async def fresh(exchange: Exchange, max_age_s: int, length_bytes: int = DEFAULT_BYTES) -> None:
    """As `ok`, with `Cache-Control: max-age=MAX_AGE_S` and a date; `chunked=1` in the query sends it in chunks."""
    headers = [("Cache-Control", f"max-age={max_age_s}"), ("Date", formatdate(usegmt=True))]
    body = body_of(length_bytes)
    if exchange.asked.query_value("chunked"):
        await exchange.send_head(200, [("Content-Type", "text/html"), ("Transfer-Encoding", "chunked"), *headers])
        for piece in (body[:100], body[100:], b""):
            await exchange.send_chunk(piece)
    else:
        await exchange.answer(body, headers=headers)


@fault("etag")
async def etag(exchange: Exchange, tag: str) -> None:
    """304 without a body if the request's If-None-Match holds TAG, else `ok`; both with that ETag, and never fresh."""
    headers = [("ETag", f'"{tag}"'), ("Cache-Control", "no-cache"), ("Date", formatdate(usegmt=True))]
    if f'"{tag}"' in exchange.asked.header("if-none-match"):
        await exchange.answer(b"", 304, headers=headers)
    else:
        await exchange.answer(body_of(DEFAULT_BYTES), headers=headers)


@fault("oauth2-token")
async def oauth2_token(exchange: Exchange) -> None:
    """A token endpoint (RFC 6749): for client:secret a bearer token named after the grant, else 401."""
    asked = exchange.asked
    grant = dict(parse_qsl(asked.body.decode("latin-1"))).get("grant_type", "")
    given = asked.header("authorization")
    if asked.method != "POST" or given != "Basic " + base64.b64encode(b"client:secret").decode():
        await exchange.answer(json_format.dumps({"error": "invalid_client"}), 401, "application/json")
        return
    token = {"access_token": f"by-{grant}", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "again"}
    await exchange.answer(json_format.dumps(token), content_type="application/json")


@fault("need-bearer")
async def need_bearer(exchange: Exchange, token: str) -> None:
    """`ok` if the request brings that bearer token (RFC 6750), else 401."""
    if exchange.asked.header("authorization") == f"Bearer {token}":
        await ok(exchange)
    else:
        await exchange.answer("who are you?\n", 401, "text/plain", [("WWW-Authenticate", "Bearer")])


@fault("multipart")
async def multipart(exchange: Exchange) -> None:
    """200, multipart/mixed: a part of text and one of JSON, each with a Content-Type and an X-Part."""
    parts = [("text/plain", "one"), ("application/json", '{"two": 2}')]
    lines = [f"--edge\r\nContent-Type: {kind}\r\nX-Part: {text[:3]}\r\n\r\n{text}\r\n" for kind, text in parts]
    await exchange.answer("".join(lines) + "--edge--\r\n", content_type="multipart/mixed; boundary=edge")


# --- compressed ------------------------------------------------------------------------------------------------


@fault("gzip")
async def gzip(exchange: Exchange, length_bytes: int = DEFAULT_BYTES) -> None:
    """200, `body_of(LENGTH_BYTES)` under a well-formed `Content-Encoding: gzip`."""
    data = gzip_format.compress(body_of(length_bytes), mtime=0)
    await exchange.answer(data, headers=[("Content-Encoding", "gzip")])


@fault("deflate")
async def deflate(exchange: Exchange, length_bytes: int = DEFAULT_BYTES) -> None:
    """200, `body_of(LENGTH_BYTES)` under a well-formed `Content-Encoding: deflate` (the zlib format)."""
    await exchange.answer(zlib.compress(body_of(length_bytes)), headers=[("Content-Encoding", "deflate")])


@fault("br")
async def br(exchange: Exchange, length_bytes: int = DEFAULT_BYTES) -> None:
    """200, `body_of(LENGTH_BYTES)` under a well-formed `Content-Encoding: br`."""
    data = brotli.compress(body_of(length_bytes), quality=4)
    await exchange.answer(data, headers=[("Content-Encoding", "br")])


@fault("bad-gzip")
async def bad_gzip(exchange: Exchange) -> None:
    """200, `Content-Encoding: gzip`, a proper gzip head, and noise that no inflate accepts."""
    noise = b"\xff" * 500  # its first bits ask for the block type that deflate reserves
    await exchange.answer(gzip_format.compress(b"", mtime=0)[:10] + noise, headers=[("Content-Encoding", "gzip")])


@fault("gzip-bomb")
async def gzip_bomb(exchange: Exchange, decoded_bytes: int) -> None:
    """200, gzip in chunks: about 1/1000 of DECODED_BYTES (all zero) that it unpacks to."""
    headers = [("Content-Type", "text/html"), ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")]
    await exchange.send_head(200, headers)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed, crc, left = gzip_format.compress(b"", mtime=0)[:10], 0, decoded_bytes
    while left:
        block = bytes(min(left, 16 * BLOCK_BYTES))
        crc, left = zlib.crc32(block, crc), left - len(block)
        packed += packer.compress(block)
        if packed:
            await exchange.send_chunk(packed)
        packed = b""
        await asyncio.sleep(0)  # the other connections' turn: a block is some milliseconds of work
    await exchange.send_chunk(packed + packer.flush() + struct.pack("<II", crc, decoded_bytes & 0xFFFFFFFF))
    await exchange.send_chunk(b"")


@fault("br-bomb")
async def br_bomb(exchange: Exchange, decoded_bytes: int) -> None:
    """200, a small body under `Content-Encoding: br` that unpacks to DECODED_BYTES, all zero."""
    packer = brotli.Compressor(quality=4)
    packed, left = b"", decoded_bytes
    while left:
        block = bytes(min(left, 16 * BLOCK_BYTES))
        packed, left = packed + packer.process(block), left - len(block)
        await asyncio.sleep(0)
    await exchange.answer(packed + packer.finish(), headers=[("Content-Encoding", "br")])


# --- encoded ---------------------------------------------------------------------------------------------------


@fault("charset")
async def charset(exchange: Exchange, encoding: str) -> None:
    """200, `charset_page(ENCODING)` in that encoding, which only the Content-Type declares."""
    await exchange.answer(_encoded(encoding, False), content_type=f"text/html; charset={encoding}")


@fault("charset-meta")
async def charset_meta(exchange: Exchange, encoding: str) -> None:
    """200, `charset_page(ENCODING, declared_in_page=True)` in that encoding, which only its <meta> declares."""
    await exchange.answer(_encoded(encoding, True))


def _encoded(encoding: str, declared_in_page: bool) -> bytes:
    try:
        codecs.lookup(encoding)
        return charset_page(encoding, declared_in_page=declared_in_page).encode(encoding)
    except (LookupError, ValueError) as error:
        raise BadCall(400, str(error)) from None
