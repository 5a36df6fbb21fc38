"""Shared connections: whether a transfer is to wait for a connection that is being made and may turn out to be shared.

The law: over HTTP/2 and later a hundred fetches that begin together make one connection, so they wait for it
(CURLOPT_PIPEWAIT(3)). Not without TLS: libcurl would hold them back until the first whole answer, since that might be
an upgrade. Nor where HTTP/1.1 was agreed on before: those that wait are let go one by one, each when the last one is
connected.
"""

from __future__ import annotations

HTTP_1 = frozenset({"HTTP/1.0", "HTTP/1.1"})
"""Protocols whose connections carry one exchange at a time."""

_MAX_HOSTS = 10_000


class SharedConnections:
    """What is known of the hosts of one multi handle."""

    def __init__(self) -> None:
        self._singles: set[tuple[str, int]] = set()  # hosts that speak TLS and no HTTP/2; mutable, in the hub's thread

    def may_come(self, url: str, host: str, port: int) -> bool:
        """Whether a connection to this host that is being made may turn out to be shared."""
        return url.startswith("https:") and (host, port) not in self._singles

    def learn(self, url: str, host: str, port: int, protocol: str) -> None:
        """The host has answered by that protocol: "HTTP/1.1" and so on."""
        if not url.startswith("https:"):
            return
        if protocol not in HTTP_1:
            self._singles.discard((host, port))
            return
        if len(self._singles) >= _MAX_HOSTS:
            self._singles.clear()
        self._singles.add((host, port))
