"""One of a kind for each hub: what belongs to a hub's loop and may be used in its thread only.

It lives on the hub itself. In a table that names hubs weakly each would be kept alive by its own entry, since what
belongs to a loop names its hub.

The law of forks: the connections are the parent's. In the child everything is abandoned before any of its code runs,
of all hubs, those of threads that are not there any more too; what a child needs is made anew.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from functools import partial
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
        """In a forked child: drop everything, and change nothing that the parent still uses. Must not wait for
        anything, locks of threads included.
        """


_T = TypeVar("_T", bound=HubBound)

_TABLE = "_percore_table"


class _Table:
    """What one hub has here."""

    def __init__(self) -> None:
        self.kept: dict[object, HubBound] = {}


# Mutable: all tables that are alive; those that are held through a fork, whose threads' hubs the child takes apart.
_tables: weakref.WeakSet[_Table] = weakref.WeakSet()
_held: list[_Table] = []


def of_this_hub(key: object, make: Callable[[], _T]) -> _T:
    """This hub's one for `key`, made at first use, and anew once it was closed."""
    hub = get_hub()
    table: _Table = hub.__dict__.get(_TABLE) or _table_of(hub)
    found: Any = table.kept.get(key)
    if found is None or found.is_closed:
        found = table.kept[key] = make()
    made: _T = found
    return made


def close_this_hub() -> None:
    """Close all that this hub has here. Does not yield; safe to call again. `Hub.destroy` calls it."""
    _close(_table_of(get_hub()))


def _close(table: _Table) -> None:
    for kept in list(table.kept.values()):
        kept.close()
    table.kept.clear()


def _table_of(hub: Hub) -> _Table:
    table: _Table | None = hub.__dict__.get(_TABLE)
    if table is None:
        table = hub.__dict__[_TABLE] = _Table()
        _tables.add(table)
        hub.__dict__["destroy"] = partial(_destroy, hub, table)
    return table


def _destroy(hub: Hub, table: _Table, destroy_loop: bool | None = None) -> None:
    """In place of the hub's own method, for whoever calls it: gevent's thread pool does for each of its threads."""
    if hub.loop is not None:
        _close(table)
    type(hub).destroy(hub, destroy_loop)


def _hold_all() -> None:
    _held.extend(_tables)


def _abandon_all() -> None:
    for table in _held:
        for kept in list(table.kept.values()):
            kept.abandon()
        table.kept.clear()
    _held.clear()


# Not the loop's own watcher for forks: it would come with the loop's next turn, when the child may have begun fetches.
os.register_at_fork(before=_hold_all, after_in_parent=_held.clear, after_in_child=_abandon_all)
