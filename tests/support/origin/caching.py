"""Answers whose caching headers a test chooses, and that know when they have not changed."""

from __future__ import annotations

import gzip

from tests.support.origin.exchange import Exchange
from tests.support.origin.registry import fault


@fault("told")
async def told(exchange: Exchange, key: str) -> None:
    """200, or STATUS of the query, with a header for each `h=NAME:VALUE` there; the body counts such answers for KEY.

    To HEAD with the header of each line of `head`, if there is one, in their place.
    304 with a header for each `n=NAME:VALUE`, when If-None-Match has the ETag, or If-Modified-Since is the
    Last-Modified. With `later=CODE` requests after the first get that status, with `later=drop` none. `gzip=1` codes
    the body, `length=N` pads it, `cut=1` breaks off before its end.
    """
    asked = exchange.asked
    headers, news = (_fields(asked.query, name) for name in "hn")
    if asked.method == "HEAD" and asked.query_value("head"):
        headers = _fields([("h", line) for line in asked.query_value("head").splitlines()], "h")
    later = asked.query_value("later")
    if later and exchange.state.times_seen(f"told later {key}"):
        if later == "drop":
            exchange.drop()
        else:
            await exchange.answer("later", int(later))
        return
    tags = {value for name, value in headers if name.lower() == "etag"}
    dates = {value for name, value in headers if name.lower() == "last-modified"}
    if tags & {tag.strip() for tag in asked.header("if-none-match").split(",")} or (
        not tags and asked.header("if-modified-since") in dates
    ):
        await exchange.answer(b"", 304, headers=news)
        return
    number = exchange.state.times_seen(f"told {key}") + 1
    body = f"answer {number} to {asked.method}".encode().ljust(int(asked.query_value("length", "0")), b".")
    if asked.query_value("gzip"):
        body = gzip.compress(body, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    status = int(asked.query_value("status", "200"))
    if asked.query_value("cut"):
        await exchange.send_head(status, [("Content-Length", str(len(body))), *headers])
        await exchange.send_body(body[:-1])
        exchange.drop()
        return
    await exchange.answer(body, status, "text/plain", headers)


def _fields(query: list[tuple[str, str]], parameter: str) -> list[tuple[str, str]]:
    pairs = [value.partition(":") for name, value in query if name == parameter]
    return [(name, value.strip()) for name, _, value in pairs]
