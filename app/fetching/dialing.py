"""Dialing: new connections go to addresses that we resolved and vetted ourselves, and to no others.

The name is looked up once, all its addresses are judged, and the connection is made to one of exactly these; TLS and
the Host header keep the name. So an answer that changes between the look-up and the connection (DNS rebinding) can't
lead anywhere else. It holds for every hop of a redirect, since every hop dials here.
"""

from __future__ import annotations

import socket
import sys
from typing import Any
from weakref import WeakKeyDictionary

from gevent import get_hub
from gevent.hub import Hub
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from app.errors import FetchError, InvalidRequest
from app.fetching.curl_errors import no_socket
from app.fetching.denials import log_denial
from app.fetching.names import Names
from app.files.reasons import LACKS
from app.policy.addresses import AddressPolicy


class AddressDenied(NewConnectionError):
    """The policy denies what the host's name resolved to; nothing was sent."""


class Dialer:
    """Resolves, vets, connects. Serves any number of hubs, each with names of its own."""

    def __init__(self, policy: AddressPolicy) -> None:
        self.policy = policy
        self._names: WeakKeyDictionary[Hub, Names] = WeakKeyDictionary()

    def dial(self, connection: HTTPConnection) -> socket.socket:
        """A connected socket for `connection`. Yields to the hub. Raises what urllib3's own connections raise."""
        failure: Exception | None = None
        for address in self._addresses(connection):
            try:
                connected = create_connection(
                    (address, connection.port),
                    connection.timeout,
                    source_address=connection.source_address,
                    socket_options=connection.socket_options,
                )
            except TimeoutError:
                failure = ConnectTimeoutError(connection, f"{connection.host} did not answer in time")
            except OSError as error:
                is_local = error.errno in LACKS
                said = no_socket(error) if is_local else f"Failed to establish a new connection: {error}"
                failure = NewConnectionError(connection, said)
                failure.__cause__ = error
            else:
                sys.audit("http.client.connect", connection, connection.host, connection.port)
                return connected
        assert failure is not None
        raise failure

    def close(self) -> None:
        """End the threads that look names up."""
        for names in self._names.values():
            names.close()
        self._names.clear()

    def _addresses(self, connection: HTTPConnection) -> tuple[str, ...]:
        # With its trailing dot, which `host` leaves out and the system's resolver has to see.
        host = connection._dns_host.strip("[]")
        try:
            found = self._names_here().resolve(host)
        except (FetchError, InvalidRequest) as error:
            reason = socket.gaierror(socket.EAI_NONAME, str(error))
            raise NameResolutionError(connection.host, connection, reason) from error
        decision = self.policy.decide(found)
        if decision.denial is not None:
            log_denial(connection.host, decision.denial)
            raise AddressDenied(connection, decision.denial.message)
        return decision.vetted

    def _names_here(self) -> Names:
        hub = get_hub()
        names = self._names.get(hub)
        if names is None:
            names = self._names[hub] = Names()
        return names


class DialingAdapter(HTTPAdapter):
    """requests' adapter whose new connections come from `dialer`. A proxy's connections stay requests' own."""

    def __init__(self, dialer: Dialer, **options: Any) -> None:
        self._dialer = dialer
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        dialer = self._dialer

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return dialer.dial(self)

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return dialer.dial(self)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    def close(self) -> None:
        super().close()
        self._dialer.close()
