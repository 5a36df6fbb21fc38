"""Idle handles: those that wait for their next transfer, kept by profile.

The law: setting one up costs more than a request, so one whose transfer has ended serves again, for its own profile
only. One that was killed in flight is not given back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.fetching.hub_curl import HubCurl
from app.fetching.profile import Profile
from app.fetching.transfer import Transfer

# They cost some 10 KB each.
_PER_PROFILE = 1024
_PROFILES = 64


class IdleHandles:
    """For one multi handle. open_socket: see CurlDialer.open_socket."""

    def __init__(self, hub_curl: HubCurl, open_socket: Callable[[Any], int]) -> None:
        self._hub_curl = hub_curl
        self._open_socket = open_socket
        self._idle: dict[Profile, list[Transfer]] = {}  # mutable, changed in the hub's thread only

    def __len__(self) -> int:
        return sum(map(len, self._idle.values()))

    def take(self, profile: Profile) -> Transfer:
        """One for `profile`, made if none is idle."""
        idle = self._idle.get(profile)
        return idle.pop() if idle else Transfer(self._hub_curl, profile, self._open_socket)

    def give_back(self, transfer: Transfer, profile: Profile) -> None:
        """It has ended, and nobody looks at its answer any more."""
        transfer.clear()
        idle = self._idle.get(profile)
        if idle is None:
            if len(self._idle) >= _PROFILES:
                del self._idle[next(iter(self._idle))]
            idle = self._idle[profile] = []
        if len(idle) < _PER_PROFILE:
            idle.append(transfer)

    def clear(self) -> None:
        """Let go of all."""
        self._idle.clear()
