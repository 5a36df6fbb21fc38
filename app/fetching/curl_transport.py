"""CurlTransport: requests out, answers in, over libcurl. One for each hub and policy.

The law: connections are shared only by those with the same policy. The way of one exchange goes forward: how to get
there (app.fetching.curl_dialing), a handle (idle_handles), the transfer (transfer), which the hub's turns carry out
(hub_curl), the answer; and the handle is given back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import pycurl

from app.fetching.answer import Answer
from app.fetching.curl_dialing import CurlDialer
from app.fetching.curl_errors import TransferError
from app.fetching.head import final_head
from app.fetching.hub_curl import HubCurl, HubCurlStatistics
from app.fetching.idle_handles import IdleHandles
from app.fetching.names import NameStatistics
from app.fetching.profile import Profile
from app.fetching.shared_connections import HTTP_1, SharedConnections
from app.fetching.stream import Stream
from app.hub.per_hub import of_this_hub
from app.policy.addresses import AddressPolicy


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
    """One hub's transport under `policy`. Get it from `Transports`; use it from its hub's thread only.

    max_idle_connections  kept for later, all origins together
    """

    _notes_addresses: ClassVar[bool] = False

    def __init__(self, policy: AddressPolicy, *, max_idle_connections: int = 1024) -> None:
        self.policy = policy
        self.hub_curl = HubCurl(max_idle_connections=max_idle_connections)
        self._dialer = CurlDialer(policy, self.hub_curl)
        self._handles = IdleHandles(self.hub_curl, self._dialer.open_socket)
        self._shared = SharedConnections()
        self._protocols: Counter[str] = Counter()  # mutable, changed in this hub's thread only

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
        limits_s = (timeout_s, connect_timeout_s)
        name_s, telling, is_numeric = self._dialer.directions(host, port, profile.proxy, limits_s)
        if name_s:
            timeout_s, connect_timeout_s = _left(timeout_s, name_s), _left(connect_timeout_s, name_s)
        transfer = self._handles.take(profile)
        transfer.prepare(
            method,
            url,
            headers,
            body=body,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            resolve=telling and telling.lines,
            is_numeric=is_numeric,
            may_share=profile.http != "1.1" and self._shared.may_come(url, host, port),
        )
        transfer.run(read_timeout_s)
        if transfer.code and transfer.met_bad_reuse():
            transfer.run_afresh(read_timeout_s)
        if telling is not None and (not transfer.code or transfer.is_connected()):
            telling.arrived()
        head = final_head(transfer.head)
        error = None
        if transfer.code:
            error = transfer.error(in_answer=bool(head))
            if not head:
                self._handles.give_back(transfer, profile)
                raise error
        elif not head:
            has_begun = bool(transfer.head)
            self._handles.give_back(transfer, profile)
            raise TransferError(pycurl.E_GOT_NOTHING, "the server ended without an answer", in_answer=has_begun)
        chunks = transfer.chunks
        timing = transfer.timing(name_s)
        self._protocols[timing.protocol] += 1
        if transfer.opened and timing.protocol in HTTP_1:
            transfer.expect_silence()
        answer = Answer(list(head), chunks[0] if len(chunks) == 1 else b"".join(chunks), error, timing)
        if self._notes_addresses and not profile.proxy:
            answer.address = transfer.address() or None
        if profile.http != "1.1":
            self._shared.learn(url, host, port, timing.protocol)
        self._handles.give_back(transfer, profile)
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
        directions = self._dialer.directions(host, port, profile.proxy, (connect_timeout_s,))
        telling = directions.telling
        stream = Stream(self.hub_curl, profile, self._dialer.open_socket)
        stream.prepare(
            method,
            url,
            headers,
            connect_timeout_s=_left(connect_timeout_s, directions.name_s),
            resolve=telling and telling.lines,
            is_numeric=directions.is_numeric,
            may_share=profile.http != "1.1" and self._shared.may_come(url, host, port),
        )
        stream.open(chunks, length_bytes, read_timeout_s)
        if telling is not None:
            telling.arrived()
        protocol = stream.protocol()
        self._protocols[protocol] += 1
        if protocol in HTTP_1:
            stream.expect_silence()
        self._shared.learn(url, host, port, protocol)
        return stream

    def statistics(self) -> TransportStatistics:
        """Counts at this moment; nothing in flight and nobody waiting when all is over."""
        return TransportStatistics(
            self.hub_curl.statistics(),
            self._dialer.statistics(),
            len(self._handles),
            self._dialer.connections,
            dict(self._protocols),
        )

    @property
    def is_closed(self) -> bool:
        """Whether it can be used no more."""
        return self.hub_curl.is_closed

    def close(self) -> None:
        """Close all connections, end the threads that look names up. Transfers under way fail. Does not yield."""
        self.hub_curl.close()
        self._dialer.close()
        self._handles.clear()

    def abandon(self) -> None:
        """In a forked child: see HubCurl.abandon."""
        self.hub_curl.abandon()
        if self.hub_curl.is_of_this_thread:
            self._dialer.abandon()
        self._handles.clear()


class Transports:
    """The transports for one policy, one on each hub. The first who asks there decides on `max_idle_connections`."""

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


def _left(limit_s: float | None, gone_s: float) -> float | None:
    return None if limit_s is None else limit_s - gone_s
