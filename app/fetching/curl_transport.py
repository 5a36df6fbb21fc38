"""CurlTransport: requests out, answers in, over libcurl, to vetted addresses only. One for each hub and policy.

The law: the name is looked up by us, all its addresses are judged, and libcurl is told to use exactly these; TLS and
the Host header keep the name. libcurl never looks a name up itself, and where the policy sets a limit, every address
is judged once more when its socket is opened. Connections are shared only by those with the same policy.
"""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pycurl
from gevent import Timeout
from gevent.monkey import get_original

from app.errors import FetchError
from app.fetching.answer import Answer
from app.fetching.curl_errors import TransferError, no_socket
from app.fetching.denials import log_denial
from app.fetching.head import final_head
from app.fetching.hub_curl import HubCurl, HubCurlStatistics
from app.fetching.names import Names, NameStatistics
from app.fetching.profile import Profile
from app.fetching.stream import Stream
from app.fetching.transfer import Transfer
from app.hub.per_hub import of_this_hub
from app.model.outcome import ErrorKind
from app.policy.addresses import EVERYWHERE, AddressPolicy

_log = logging.getLogger("percore.fetching")

_socket = get_original("socket", "socket")

# What libcurl takes for an address: IPv6, or a last part that is a number (WHATWG URL, "ends in a number").
_NUMERIC = re.compile(r"^\[|(?:^|\.)(?:0[xX][0-9A-Fa-f]*|[0-9]+)\.?$")

# Handles that wait for their next transfer cost some 10 KB each.
_IDLE_HANDLES_PER_PROFILE = 1024
_PROFILES = 64

# libcurl keeps the addresses that we tell it; beyond so many names it is told to forget the oldest.
_NAMES_KEPT = 10_000


class _Told:
    """One name as libcurl was told it. is_sure: a transfer that brought it along has begun, so libcurl has taken it in.

    One that was taken back before its first turn has told nothing.
    """

    __slots__ = ("addresses", "is_sure")

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self.addresses = addresses
        self.is_sure = False


class _Telling(NamedTuple):
    """What a transfer has to tell: lines of CURLOPT_RESOLVE(3), and what becomes sure with them."""

    lines: list[str]
    told: list[_Told]


class TransportStatistics(msgspec.Struct, frozen=True):
    """A snapshot.

    idle_handles  easy handles that wait for their next transfer
    connections   sockets opened since the beginning
    protocols     answers since the beginning by protocol, "HTTP/1.1" and so on
    """

    transfers: HubCurlStatistics
    names: NameStatistics
    idle_handles: int
    connections: int
    protocols: dict[str, int]


class CurlTransport:
    """The hub's transport under `policy`. Get it with `of`; use it from its hub's thread only.

    max_idle_connections  kept for later, all origins together
    """

    _notes_addresses: ClassVar[bool] = False

    def __init__(self, policy: AddressPolicy, *, max_idle_connections: int = 1024) -> None:
        self.policy = policy
        self._is_limited = policy.allow != EVERYWHERE
        self.hub_curl = HubCurl(max_idle_connections=max_idle_connections)
        self._names = Names()
        # Mutable state, changed in this hub's thread only.
        self._idle: dict[Profile, list[Transfer]] = {}
        self._told: dict[tuple[str, int], _Told] = {}  # what libcurl may know, the oldest first
        self._singles: set[tuple[str, int]] = set()  # hosts that speak TLS and no HTTP/2
        self._literals: set[str] = set()  # hosts that are addresses, and judged
        self._connections = 0
        self._protocols: Counter[str] = Counter()

    @classmethod
    def of(cls, policy: AddressPolicy, *, max_idle_connections: int = 1024) -> CurlTransport:
        """This hub's transport for `policy`. The first who asks decides on `max_idle_connections`."""
        return Transports(policy, max_idle_connections=max_idle_connections).here()

    @classmethod
    def note_addresses(cls) -> None:
        """Have all answers of this process say from now on which address they came from: for archives. Others are
        spared the price of asking libcurl.
        """
        cls._notes_addresses = True

    def exchange(
        self,
        profile: Profile,
        method: str,
        url: str,
        host: str,
        port: int,
        headers: Sequence[bytes],
        *,
        body: bytes | None = None,
        timeout_s: float | None = None,
        connect_timeout_s: float | None = None,
        read_timeout_s: float | None = None,
    ) -> Answer:
        """One request, and its answer when all of it has come. Yields to the hub.

        host, port         the URL's own
        timeout_s          of the whole; the look-up of the name counts
        connect_timeout_s  until the request can be sent; the look-up of the name counts
        read_timeout_s     between any two signs of progress after that
        Raises TransferError if no whole head came, FetchError for a name without addresses or a denied address,
        InvalidRequest for what can't be a host.
        """
        if host in self._literals and not profile.proxy:
            name_s, telling, is_numeric = 0.0, None, True  # what the rest would come to
        else:
            name_s, telling = self._resolve(profile, host, port, _least(timeout_s, connect_timeout_s))
            is_numeric = self._is_numeric(profile, host)
        transfer = self._take(profile)
        transfer.is_numeric = is_numeric
        transfer.prepare(
            method,
            url,
            headers,
            body=body,
            timeout_ms=0 if timeout_s is None else _left_ms(timeout_s, name_s),
            connect_timeout_ms=0 if connect_timeout_s is None else _left_ms(connect_timeout_s, name_s),
            resolve=telling and telling.lines,
            may_share=profile.http != "1.1" and self._may_share(url, host, port),
        )
        transfer.run(read_timeout_s)
        if transfer.code and transfer.met_bad_reuse():
            gone_s = name_s + transfer.curl.getinfo(pycurl.TOTAL_TIME)
            transfer.run_afresh(read_timeout_s, 0 if timeout_s is None else _left_ms(timeout_s, gone_s))
        if telling is not None and (not transfer.code or transfer.is_connected()):
            _make_sure(telling)
        head = final_head(transfer.head)
        error = None
        if transfer.code:
            error = self._error(transfer, bool(head))
            if not head:
                self._put_back(transfer, profile)
                raise error
        elif not head:
            has_begun = bool(transfer.head)
            self._put_back(transfer, profile)
            raise TransferError(pycurl.E_GOT_NOTHING, "the server ended without an answer", in_answer=has_begun)
        chunks = transfer.chunks
        timing = transfer.timing(name_s)
        self._protocols[timing.protocol] += 1
        answer = Answer(list(head), chunks[0] if len(chunks) == 1 else b"".join(chunks), error, timing)
        if self._notes_addresses and not profile.proxy:
            answer.address = transfer.address() or None
        if profile.http != "1.1":
            self._learn(url, host, port, timing.protocol)
        self._put_back(transfer, profile)
        return answer

    def open_stream(
        self,
        profile: Profile,
        method: str,
        url: str,
        host: str,
        port: int,
        headers: Sequence[bytes],
        *,
        chunks: Any = None,
        length_bytes: int | None = None,
        connect_timeout_s: float | None = None,
        read_timeout_s: float | None = None,
    ) -> Stream:
        """As `exchange`, but it is back with the head, and the body is read from the Stream. Yields to the hub.

        chunks        iterable of bytes, the body to be sent; what it raises is raised here
        length_bytes  of all of them, None if not known
        """
        name_s, telling = self._resolve(profile, host, port, connect_timeout_s)
        stream = Stream(self.hub_curl, profile, self._open_socket)
        stream.is_numeric = self._is_numeric(profile, host)
        stream.prepare(
            method,
            url,
            headers,
            connect_timeout_ms=0 if connect_timeout_s is None else _left_ms(connect_timeout_s, name_s),
            resolve=telling and telling.lines,
            may_share=profile.http != "1.1" and self._may_share(url, host, port),
        )
        stream.open(chunks, length_bytes, read_timeout_s)
        if telling is not None:
            _make_sure(telling)
        protocol = stream.protocol()
        self._protocols[protocol] += 1
        self._learn(url, host, port, protocol)
        return stream

    def statistics(self) -> TransportStatistics:
        """Counts at this moment; nothing in flight and nobody waiting when all is over."""
        return TransportStatistics(
            self.hub_curl.statistics(),
            self._names.statistics(),
            sum(map(len, self._idle.values())),
            self._connections,
            dict(self._protocols),
        )

    @property
    def is_closed(self) -> bool:
        """Whether it can be used no more."""
        return self.hub_curl.is_closed

    def close(self) -> None:
        """Close all connections, end the threads that look names up. Transfers under way fail. Does not yield."""
        self.hub_curl.close()
        self._names.close()
        self._idle.clear()

    def abandon(self) -> None:
        """In a forked child: see HubCurl.abandon."""
        self.hub_curl.abandon()
        if self.hub_curl.is_of_this_thread:
            self._names.abandon()
        self._idle.clear()

    # --- handles -----------------------------------------------------------------------------------------------------

    def _take(self, profile: Profile) -> Transfer:
        idle = self._idle.get(profile)
        return idle.pop() if idle else Transfer(self.hub_curl, profile, self._open_socket)

    def _put_back(self, transfer: Transfer, profile: Profile) -> None:
        transfer.clear()
        idle = self._idle.get(profile)
        if idle is None:
            if len(self._idle) >= _PROFILES:
                del self._idle[next(iter(self._idle))]
            idle = self._idle[profile] = []
        if len(idle) < _IDLE_HANDLES_PER_PROFILE:
            idle.append(transfer)

    def _error(self, transfer: Transfer, in_answer: bool) -> TransferError:
        assert transfer.code is not None
        return TransferError(transfer.code, transfer.why, is_connected=transfer.is_connected(), in_answer=in_answer)

    # --- connections that are shared --------------------------------------------------------------------------------

    def _may_share(self, url: str, host: str, port: int) -> bool:
        """Whether to wait for a connection that is being made to this host, since it may turn out to be HTTP/2.

        Not without TLS: libcurl would wait for the first whole answer there, since that might be an upgrade. Nor where
        HTTP/2 was not agreed on before: those that wait are let go one by one, each when the last one is connected.
        """
        return url.startswith("https:") and (host, port) not in self._singles

    def _learn(self, url: str, host: str, port: int, protocol: str) -> None:
        if url.startswith("https:"):
            if protocol in ("HTTP/1.0", "HTTP/1.1"):
                if len(self._singles) >= _NAMES_KEPT:
                    self._singles.clear()
                self._singles.add((host, port))
            else:
                self._singles.discard((host, port))

    # --- names and addresses -----------------------------------------------------------------------------------------

    def _resolve(self, profile: Profile, host: str, port: int, limit_s: float | None) -> tuple[float, _Telling | None]:
        """Seconds that it took, and what libcurl is to be told, None for nothing new."""
        if not profile.proxy:
            if host in self._literals:
                return 0.0, None
            return self._tell(host, port, limit_s)
        proxy = urlsplit(profile.proxy)
        assert proxy.hostname is not None
        try:
            name_s, told = self._tell(proxy.hostname, proxy.port or _proxy_port(proxy.scheme), limit_s)
        except FetchError as error:
            if error.kind is not ErrorKind.NAME_NOT_RESOLVED:
                raise
            raise TransferError(pycurl.E_COULDNT_RESOLVE_PROXY, str(error), is_connected=False) from error
        # Where the proxy looks the name up, we do too if there is a limit: what it leads to is judged, even though
        # the proxy may see another answer.
        if self._is_limited or proxy.scheme in ("socks4", "socks5"):
            left_s = None if limit_s is None else max(0.001, limit_s - name_s)
            more_s, more = self._tell(host, port, left_s)
            name_s += more_s
            told = _Telling(told.lines + more.lines, told.told + more.told) if told and more else told or more
        return name_s, told

    def _is_numeric(self, profile: Profile, host: str) -> bool:
        """Whether something that libcurl reads as a host is an address, which it takes for a look-up."""
        if host in self._literals or _NUMERIC.search(host) is not None:
            return True
        if not profile.proxy:
            return False
        proxy = urlsplit(profile.proxy).hostname or ""
        return ":" in proxy or _NUMERIC.search(proxy) is not None

    def _tell(self, host: str, port: int, limit_s: float | None) -> tuple[float, _Telling | None]:
        bare = host[1:-1] if host[:1] == "[" else host
        began_s = time.monotonic()
        addresses = self._names.known(bare)
        if addresses is None:
            addresses = self._look_up(bare, limit_s)
        known = self._told.get((host, port))
        if known is not None and known.addresses is addresses and known.is_sure:
            return 0.0, None
        name_s = time.monotonic() - began_s
        vetted = self._vet(bare, addresses)
        if addresses == (bare,):
            if len(self._literals) >= _NAMES_KEPT:
                self._literals.clear()
            self._literals.add(host)
            return 0.0, None
        # A zone can't be told to libcurl. Such an address is of use on one link only.
        usable = [f"[{address}]" if ":" in address else address for address in vetted if "%" not in address]
        if not usable:
            raise TransferError(pycurl.E_COULDNT_CONNECT, f"{bare} has link-local addresses only", is_connected=False)
        lines = [f"{host}:{port}:{','.join(usable)}"]
        if known is None or known.addresses is not addresses:
            if known is not None:
                del self._told[host, port]
            elif len(self._told) >= max(_NAMES_KEPT, 2 * self.hub_curl.in_flight):
                old_host, old_port = next(iter(self._told))
                del self._told[old_host, old_port]
                lines.append(f"-{old_host}:{old_port}")
            known = self._told[host, port] = _Told(addresses)
        return name_s, _Telling(lines, [known])

    def _look_up(self, host: str, limit_s: float | None) -> tuple[str, ...]:
        if limit_s is None:
            return self._names.resolve(host)
        deadline = Timeout(limit_s)
        try:
            with deadline:
                return self._names.resolve(host)
        except Timeout as expired:
            if expired is not deadline:
                raise
            said = f"{host}: not looked up in time"
            raise TransferError(pycurl.E_OPERATION_TIMEDOUT, said, is_connected=False) from None

    def _vet(self, host: str, addresses: tuple[str, ...]) -> tuple[str, ...]:
        if not self._is_limited:
            return addresses
        decision = self.policy.decide(addresses)
        if decision.denial is not None:
            log_denial(host, decision.denial)
            raise decision.denial.error()
        return decision.vetted

    def _open_socket(self, transfer: Transfer, purpose: int, address: Any) -> int:
        """libcurl opens a socket; its descriptor, or SOCKET_BAD. Must not switch."""
        transfer.no_socket = ""
        if self._is_limited:
            text = address.addr[0]
            if isinstance(text, bytes):
                text = text.decode("ascii", "replace")
            if self.policy.decide((text,)).denial is not None:
                return pycurl.SOCKET_BAD
        try:
            descriptor: int = _socket(address.family, address.socktype, address.protocol).detach()
        except OSError as error:
            transfer.no_socket = no_socket(error)
            _log.error(transfer.no_socket)
            return pycurl.SOCKET_BAD
        self.hub_curl.opened(descriptor)
        self._connections += 1
        return descriptor


class Transports:
    """The transports for one policy, one on each hub: as `CurlTransport.of`, for who asks often."""

    # A policy's own hash takes longer than all else that is asked for here.
    _numbers: ClassVar[dict[AddressPolicy, int]] = {}

    def __init__(self, policy: AddressPolicy, *, max_idle_connections: int = 1024) -> None:
        self._policy = policy
        self._max_idle_connections = max_idle_connections
        self._key = ("curl", self._numbers.setdefault(policy, len(self._numbers)))

    def here(self) -> CurlTransport:
        """This hub's."""
        return of_this_hub(self._key, self._make)

    def _make(self) -> CurlTransport:
        return CurlTransport(self._policy, max_idle_connections=self._max_idle_connections)


def _make_sure(telling: _Telling) -> None:
    for told in telling.told:
        told.is_sure = True


def _proxy_port(scheme: str) -> int:
    # libcurl's defaults: 443 for a proxy that is spoken to in TLS, 1080 for all others.
    return 443 if scheme == "https" else 1080


def _least(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _left_ms(limit_s: float, gone_s: float) -> int:
    """For libcurl, to which 0 is no limit at all."""
    left_ms = int((limit_s - gone_s) * 1000)
    return left_ms if left_ms > 0 else 1
