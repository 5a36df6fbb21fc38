"""What is kept of look-ups, and for how long. Pure: time is handed in, nothing is looked up here.

The law: an answer is kept for a fixed time, since the system's resolver tells no time to live. "There is no such
name" is kept too, for less. A temporary failure is never kept: kept for a second only, it would fail every request
that asks within it, a whole list at one host, for one lost packet.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec


class Resolution(msgspec.Struct, frozen=True):
    """What one look-up came to.

    addresses  canonical text, in the order in which to try them; empty when there are none
    reason     one line, why there are none
    lasting    False for a failure that may be gone by the next look-up
    is_local   a failure for want of something here: it says nothing of the name
    """

    addresses: tuple[str, ...] = ()
    reason: str = ""
    lasting: bool = True
    is_local: bool = False


class NameCache:
    """Resolutions by name, at most `max_entries`; the one that was asked for longest ago makes room.

    ttl_s           how long addresses are kept, > 0
    negative_ttl_s  how long it is kept that there are none; 0 keeps nothing
    max_entries     > 0
    """

    def __init__(self, *, ttl_s: float, negative_ttl_s: float, max_entries: int) -> None:
        if ttl_s <= 0 or negative_ttl_s < 0 or max_entries <= 0:
            raise ValueError("ttl_s and max_entries must be above 0, negative_ttl_s not below")
        self._ttl_s = ttl_s
        self._negative_ttl_s = negative_ttl_s
        self._max_entries = max_entries
        # Mutable state: name -> (resolution, the moment it is no longer good), the longest unused first.
        self._entries: OrderedDict[str, tuple[Resolution, float]] = OrderedDict()

    def __len__(self) -> int:
        """Entries held, those that are no longer good but not yet asked for again among them."""
        return len(self._entries)

    def get(self, name: str, now_s: float) -> Resolution | None:
        """What is known of `name`, None if nothing is, or nothing that is still good."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        resolution, until_s = entry
        if now_s >= until_s:
            del self._entries[name]
            return None
        self._entries.move_to_end(name)
        return resolution

    def put(self, name: str, resolution: Resolution, now_s: float) -> None:
        """Keep what a look-up of `name` came to, in place of what was known, if it is to be kept at all.

        now_s  when the look-up ended
        """
        lifetime_s = self._lifetime_s(resolution)
        if lifetime_s <= 0:
            return
        self._entries[name] = (resolution, now_s + lifetime_s)
        self._entries.move_to_end(name)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def _lifetime_s(self, resolution: Resolution) -> float:
        if resolution.addresses:
            return self._ttl_s
        return self._negative_ttl_s if resolution.lasting else 0.0
