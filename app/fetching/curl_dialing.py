"""Curl dialing: libcurl connects to addresses that we resolved and vetted ourselves, and to no others.

The law: the name is looked up by us, all its addresses are judged, and libcurl is told to use exactly these
(CURLOPT_RESOLVE(3)); TLS and the Host header keep the name. libcurl never looks a name up itself, and where the policy
sets a limit, every address is judged once more when its socket is opened.

libcurl takes in what it is told when a transfer begins, in an order of its own, and keeps it. So a name counts as told
only when a transfer that brought it along has begun: one that was taken back before its first turn has told nothing.
"""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pycurl
from gevent import Timeout
from gevent.monkey import get_original

from app.errors import FetchError
from app.fetching.curl_errors import TransferError
from app.fetching.denials import log_denial
from app.fetching.hub_curl import HubCurl
from app.fetching.names import Names, NameStatistics
from app.model.outcome import ErrorKind
from app.policy.addresses import EVERYWHERE, AddressPolicy

_socket = get_original("socket", "socket")

# What libcurl takes for an address: IPv6, or a last part that is a number (WHATWG URL, "ends in a number").
_NUMERIC = re.compile(r"^\[|(?:^|\.)(?:0[xX][0-9A-Fa-f]*|[0-9]+)\.?$")

# libcurl keeps the addresses that we tell it; beyond so many names it is told to forget the oldest.
_NAMES_KEPT = 10_000

LimitsS = tuple[float | None, ...]
"""Limits of time in seconds, of which the least holds; None is none."""


class _Told:
    """One name as libcurl was told it. is_sure: a transfer that brought it along has begun."""

    __slots__ = ("addresses", "is_sure")

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self.addresses = addresses
        self.is_sure = False


class Telling(NamedTuple):
    """What libcurl has to be told with a transfer.

    lines  in the form of CURLOPT_RESOLVE(3)
    """

    lines: list[str]
    names: list[_Told]

    def arrived(self) -> None:
        """The transfer has begun, so libcurl knows it now."""
        for told in self.names:
            told.is_sure = True


class Directions(NamedTuple):
    """How libcurl gets to a host.

    name_s      seconds that its name took, 0.0 where it was known
    telling     None for nothing new
    is_numeric  whether something that libcurl reads as a host is an address, in whatever notation
    """

    name_s: float
    telling: Telling | None
    is_numeric: bool


_TO_LITERAL = Directions(0.0, None, True)


class CurlDialer:
    """For one multi handle, in its hub's thread.

    connections  sockets opened since the beginning
    """

    def __init__(self, policy: AddressPolicy, hub_curl: HubCurl) -> None:
        self._policy = policy
        self._is_limited = policy.allow != EVERYWHERE
        self._hub_curl = hub_curl
        self._names = Names()
        # Mutable state, changed in this hub's thread only.
        self._told: dict[tuple[str, int], _Told] = {}  # what libcurl may know, the oldest first
        self._literals: set[str] = set()  # hosts that are addresses, and judged
        self.connections = 0

    def directions(self, host: str, port: int, proxy: str, limits_s: LimitsS) -> Directions:
        """How libcurl gets to `host`, by way of `proxy` if that is not empty. Yields to the hub for a look-up.

        Raises FetchError for a name without addresses or a denied address, TransferError for one that is not looked up
        in time, that leads to link-local addresses only or is the proxy's, InvalidRequest for what can't be a host.
        """
        if proxy:
            return self._by_way_of(proxy, host, port, limits_s)
        if host in self._literals:
            return _TO_LITERAL
        name_s, telling = self._tell(host, port, limits_s)
        return Directions(name_s, telling, host in self._literals or _NUMERIC.search(host) is not None)

    def open_socket(self, address: Any) -> int:
        """Open a socket for libcurl: its descriptor, SOCKET_BAD for an address that is denied. Must not switch.

        address  as OPENSOCKETFUNCTION gets it. Raises OSError
        """
        if self._is_limited:
            text = address.addr[0]
            if isinstance(text, bytes):
                text = text.decode("ascii", "replace")
            if self._policy.decide((text,)).denial is not None:
                return pycurl.SOCKET_BAD
        descriptor: int = _socket(address.family, address.socktype, address.protocol).detach()
        self._hub_curl.opened(descriptor)
        self.connections += 1
        return descriptor

    def statistics(self) -> NameStatistics:
        """Of the names."""
        return self._names.statistics()

    def close(self) -> None:
        """End the threads that look names up. Does not yield."""
        self._names.close()

    def abandon(self) -> None:
        """In a forked child: see Names.abandon."""
        self._names.abandon()

    def _by_way_of(self, proxy: str, host: str, port: int, limits_s: LimitsS) -> Directions:
        split = urlsplit(proxy)
        proxy_host = split.hostname
        assert proxy_host is not None
        try:
            name_s, telling = self._tell(proxy_host, split.port or _default_port(split.scheme), limits_s)
        except FetchError as error:
            if error.kind is not ErrorKind.NAME_NOT_RESOLVED:
                raise
            raise TransferError(pycurl.E_COULDNT_RESOLVE_PROXY, str(error), is_connected=False) from error
        # Where the proxy looks the name up, we do too if there is a limit: what it leads to is judged, even though
        # the proxy may see another answer.
        if self._is_limited or split.scheme in ("socks4", "socks5"):
            left_s = tuple(None if limit_s is None else max(0.001, limit_s - name_s) for limit_s in limits_s)
            more_s, more = self._tell(host, port, left_s)
            name_s += more_s
            telling = (
                Telling(telling.lines + more.lines, telling.names + more.names) if telling and more else telling or more
            )
        is_numeric = any(":" in each or _NUMERIC.search(each) is not None for each in (host, proxy_host))
        return Directions(name_s, telling, is_numeric)

    def _tell(self, host: str, port: int, limits_s: LimitsS) -> tuple[float, Telling | None]:
        """Seconds that it took, and what is new."""
        bare = host[1:-1] if host[:1] == "[" else host
        began_s = time.monotonic()
        addresses = self._names.known(bare)
        if addresses is None:
            addresses = self._look_up(bare, limits_s)
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
            elif len(self._told) >= max(_NAMES_KEPT, 2 * self._hub_curl.in_flight):
                old_host, old_port = next(iter(self._told))
                del self._told[old_host, old_port]
                lines.append(f"-{old_host}:{old_port}")
            known = self._told[host, port] = _Told(addresses)
        return name_s, Telling(lines, [known])

    def _look_up(self, host: str, limits_s: LimitsS) -> tuple[str, ...]:
        limit_s = min((each_s for each_s in limits_s if each_s is not None), default=None)
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
        decision = self._policy.decide(addresses)
        if decision.denial is not None:
            log_denial(host, decision.denial)
            raise decision.denial.error()
        return decision.vetted


def _default_port(scheme: str) -> int:
    # libcurl's, of a proxy: 443 for one that is spoken to in TLS, 1080 for all others.
    return 443 if scheme == "https" else 1080
