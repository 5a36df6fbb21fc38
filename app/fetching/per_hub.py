"""One of a kind for each hub: what belongs to a hub's loop and may be used in its thread only.

It lives on the hub itself. In a table that names hubs weakly each would be kept alive by its own entry, since what
belongs to a loop names its hub.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from gevent import get_hub
from gevent.hub import Hub


class HubBound(Protocol):
    """What can be kept here."""

    @property
    def is_closed(self) -> bool: ...

    def close(self) -> None:
        """Give everything back. Does not yield."""

    def abandon(self) -> None:
        """In a forked child: drop everything, and change nothing that the parent still uses."""


_T = TypeVar("_T", bound=HubBound)

_TABLE = "_percore_table"


def of_this_hub(key: object, make: Callable[[], _T]) -> _T:
    """This hub's one for `key`, made at first use, and anew once it was closed."""
    table = _table_of(get_hub())
    found: Any = table.get(key)
    if found is None or found.is_closed:
        found = table[key] = make()
    made: _T = found
    return made


def close_this_hub() -> None:
    """Close all that this hub has here. Whoever destroys a hub calls it before. Does not yield; safe to call again."""
    table = _table_of(get_hub())
    for kept in list(table.values()):
        kept.close()
    table.clear()


def _table_of(hub: Hub) -> dict[object, HubBound]:
    table: dict[object, HubBound] | None = hub.__dict__.get(_TABLE)
    if table is None:
        table = hub.__dict__[_TABLE] = {}
        # The loop keeps the watcher. A fork copies the hub with all that it has, but the parent goes on using it.
        watcher = hub.loop.fork(ref=False)
        watcher.start(_abandon_all, table)
    return table


def _abandon_all(table: dict[object, HubBound]) -> None:
    for kept in list(table.values()):
        kept.abandon()
    table.clear()
