"""The contestants: which programs there are, whose Python runs them, and what they need from the system."""

from __future__ import annotations

from benchmarks.common.contestant import Contestant, Home

REFERENCE = "percore-fetch"
"""The client that the others are compared with."""

CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("percore-fetch", Home.PROJECT, "percore_fetch", "ours: Session.fetch, a greenlet per fetch"),
        Contestant("percore-get", Home.PROJECT, "percore_get", "ours: Session.get, requests' semantics"),
        Contestant("curl-adapter", Home.PROJECT, "curl_adapter", "ours: CurlAdapter on a stock requests.Session"),
        Contestant("fetch-batch", Home.PROJECT, "fetch_batch", "ours: the whole batch, one worker"),
        Contestant("requests-threads", Home.PROJECT, "requests_threads", "requests, a thread per fetch"),
        Contestant("requests-gevent", Home.PROJECT, "requests_gevent", "requests on patched sockets"),
        Contestant("geventhttpclient", Home.PEERS, "geventhttpclient_pool", "geventhttpclient, a greenlet per fetch"),
        Contestant("aiohttp", Home.PEERS, "aiohttp_uvloop", "aiohttp on uvloop"),
        Contestant("httpx", Home.PEERS, "httpx_async", "httpx.AsyncClient on uvloop"),
        Contestant("go", Home.GO, "net_http", "Go's net/http, GOMAXPROCS=1"),
        Contestant("pycurl", Home.PROJECT, "pycurl_multi", "limit: libcurl in a bare loop"),
        Contestant("wrk", Home.PROJECT, "wrk", "limit: a load generator in C"),
    )
}
