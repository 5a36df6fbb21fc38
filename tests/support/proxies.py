"""Proxies of our own: HTTP (absolute targets and CONNECT), SOCKS 5 (RFC 1928, 1929) and SOCKS 4 (its 4A too)
on one port of loopback.

    with running_proxy(hosts={"origin.test": "127.0.0.1"}) as proxy:
        session.get("http://origin.test:8000/", proxies={"http": proxy.url("socks5h")})
        proxy.asked

It runs on an asyncio loop in a thread of its own, and reads the first byte to know what is spoken. It contacts
loopback only: `hosts` says which names it knows, and what is not in there must be an address.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Credentials = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to the proxy.

    how          an HTTP method, "CONNECT" among them, "SOCKS", or "SOCKS4"
    host         as it was asked for: a name, or an address
    headers      pairs in order, names in lower case; none with SOCKS
    credentials  those that came, None without
    """

    how: str
    host: str
    port: int
    headers: list[tuple[str, str]]
    credentials: Credentials | None


@dataclass
class Proxy:
    """A running proxy. `asked` grows; `connections` counts what was accepted, asked anything or not."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    def url(self, scheme: str, credentials: str = "") -> str:
        """`credentials` as they stand in a URL, percent-encoded, without the at sign."""
        return f"{scheme}://{credentials}{'@' if credentials else ''}127.0.0.1:{self.port}"


class _Refused(Exception):
    """The proxy says no, and has said so."""


@contextlib.contextmanager
def running_proxy(
    *, hosts: Mapping[str, str] | None = None, credentials: Credentials | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Proxy]:
    """Runs until the `with` ends. credentials: what it asks for, None for nothing. tls: for an https:// proxy."""
    loop = asyncio.new_event_loop()
    server = _Server(dict(hosts or {}), credentials)
    listening = loop.run_until_complete(asyncio.start_server(server.converse, "127.0.0.1", 0, ssl=tls))
    server.proxy.port = int(listening.sockets[0].getsockname()[1])
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_end(listening))
        loop.close()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Server:
    def __init__(self, hosts: dict[str, str], credentials: Credentials | None) -> None:
        self.proxy = Proxy(0)
        self._hosts = hosts
        self._credentials = credentials

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy.connections += 1
        try:
            first = await reader.readexactly(1)
            if first == b"\x05":
                await self._socks(reader, writer)
            elif first == b"\x04":
                await self._socks_4(reader, writer)
            else:
                await self._http(first, reader, writer)
        except (_Refused, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled: the proxy ends
        finally:
            writer.close()

    async def _http(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        (method, target, version), *lines = (line.split(" ", 2) for line in head.removesuffix("\r\n\r\n").split("\r\n"))
        headers = [(line[0].removesuffix(":").lower(), " ".join(line[1:])) for line in lines]
        given = dict(headers).get("proxy-authorization", "")
        credentials = None
        if given.startswith("Basic "):
            user, _, password = base64.b64decode(given[6:]).decode().partition(":")
            credentials = (user, password)
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = parts.hostname or "", parts.port or 80
        self.proxy.asked.append(Asked(method, host, port, headers, credentials))
        if self._credentials not in (None, credentials):
            writer.write(b"HTTP/1.1 407 Who Are You\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            raise _Refused
        try:
            upstream = await self._connect(host, port)
        except OSError:
            writer.write(b"HTTP/1.1 502 Nobody There\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            raise _Refused from None
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            path = parts._replace(scheme="", netloc="").geturl() or "/"
            kept = [pair for pair in headers if not pair[0].startswith("proxy-") and pair[0] != "connection"]
            lines_on = [
                f"{method} {path} {version}",
                *(f"{name}: {value}" for name, value in kept),
                "connection: close",
            ]
            upstream[1].write(("\r\n".join(lines_on) + "\r\n\r\n").encode("latin-1"))
        await _relay((reader, writer), upstream)

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        wanted = 2 if self._credentials else 0
        if wanted not in methods:
            writer.write(b"\x05\xff")
            await writer.drain()
            raise _Refused
        writer.write(bytes([5, wanted]))
        credentials = None
        if wanted == 2:
            await reader.readexactly(1)
            user = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            password = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            credentials = (user, password)
            writer.write(b"\x01\x00" if credentials == self._credentials else b"\x01\x01")
            await writer.drain()
            if credentials != self._credentials:
                raise _Refused
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2))
        self.proxy.asked.append(Asked("SOCKS", host, port, [], credentials))
        try:
            upstream = await self._connect(host, port)
        except OSError:
            writer.write(b"\x05\x04\x00\x01" + bytes(6))  # host unreachable
            await writer.drain()
            raise _Refused from None
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await _relay((reader, writer), upstream)

    async def _socks_4(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Source: Ying-Da Lee, "SOCKS: A protocol for TCP proxy across firewalls", and the same author's "SOCKS 4A"."""
        await reader.readexactly(1)  # to connect
        port = int.from_bytes(await reader.readexactly(2))
        address = await reader.readexactly(4)
        await reader.readuntil(b"\0")  # a user's name, which nobody checks
        is_name = address[:3] == bytes(3) and address[3] != 0
        name = (await reader.readuntil(b"\0"))[:-1].decode() if is_name else ""
        host = name or str(ipaddress.ip_address(address))
        self.proxy.asked.append(Asked("SOCKS4", host, port, [], None))
        try:
            upstream = await self._connect(host, port)
        except OSError:
            writer.write(b"\0\x5b" + bytes(6))  # rejected
            await writer.drain()
            raise _Refused from None
        writer.write(b"\0\x5a" + bytes(6))
        await _relay((reader, writer), upstream)

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = self._hosts.get(host, host)
        try:
            is_here = ipaddress.ip_address(address).is_loopback
        except ValueError:
            is_here = False
        if not is_here:
            raise OSError(f"this proxy does not know {host}")
        return await asyncio.open_connection(address, port)


async def _relay(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter], other: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Bytes both ways until either side ends."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    ways = [asyncio.create_task(copy(one[0], other[1])), asyncio.create_task(copy(other[0], one[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        other[1].close()
