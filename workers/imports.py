"""Imports: a child tells its parent what its stages were imported from, at their load and whenever they import more."""

from __future__ import annotations

import gevent

from app.stages.sources import LOADED
from workers.messages import Imported
from workers.parent_link import ParentLink

_LOOK_EVERY_S = 1.0


class Imports:
    """For the parent behind `link`."""

    def __init__(self, link: ParentLink) -> None:
        self._link = link
        self._told: set[str] = set()

    def tell(self) -> None:
        """What was not told yet. Yields to the hub."""
        sources = LOADED.look_again()
        if new := {key: value for key, value in sources.items() if key not in self._told}:
            self._told |= new.keys()
            self._link.send(Imported(new))

    def run(self) -> None:
        """Tell, now and then, for ever. Yields to the hub."""
        while True:
            gevent.sleep(_LOOK_EVERY_S)
            self.tell()
