"""Redirects: good ones, endless ones, and ones that lead nowhere."""

from __future__ import annotations

from tests.support.origin.answers import ok
from tests.support.origin.exchange import Exchange
from tests.support.origin.registry import BadCall, fault


def _same_query(exchange: Exchange) -> str:
    """The request's query with its `?`, so that a list's unique URLs stay unique along their hops."""
    query = exchange.asked.target.partition("?")[2]
    return f"?{query}" if query else ""


@fault("redirect")
async def redirect(exchange: Exchange, hops: int) -> None:
    """302 to /redirect/HOPS-1 (a relative reference, query kept); with 0 hops left, `ok`."""
    if hops:
        await exchange.redirect(f"/redirect/{hops - 1}{_same_query(exchange)}")
    else:
        await ok(exchange)


@fault("redirect-loop")
async def redirect_loop(exchange: Exchange) -> None:
    """302 to its own URL."""
    await exchange.redirect(exchange.asked.target)


@fault("redirect-ever")
async def redirect_ever(exchange: Exchange, hop: int = 0) -> None:
    """302 to /redirect-ever/HOP+1: always a new URL, without end."""
    await exchange.redirect(f"/redirect-ever/{hop + 1}{_same_query(exchange)}")


@fault("redirect-to")
async def redirect_to(exchange: Exchange) -> None:
    """Redirects to the `url` of the query, as it is; with `status` of the query, or 302."""
    status = exchange.asked.query_value("status", "302")
    url = exchange.asked.query_value("url")
    if not url or not url.isascii() or "\r" in url or "\n" in url or not status.isdigit():
        raise BadCall(400, "use it as /redirect-to?url=URL&status=302")
    await exchange.redirect(url, int(status))


@fault("redirect-bad")
async def redirect_bad(exchange: Exchange) -> None:
    """302 with a Location that can't be parsed."""
    await exchange.redirect("http://[not-an-address/")


@fault("redirect-scheme")
async def redirect_scheme(exchange: Exchange) -> None:
    """302 with an ftp: Location."""
    await exchange.redirect("ftp://127.0.0.1/file")


@fault("redirect-nowhere")
async def redirect_nowhere(exchange: Exchange) -> None:
    """302 without any Location."""
    await exchange.answer("somewhere else\n", 302, "text/plain")
