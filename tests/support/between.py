"""Between: a stage that has a tick in the middle of something, and another one that would run then if it could."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import gevent.util

from tests.support.slices import Slices


class Between:
    """Runs a stage that has a tick in the middle of something, and another one that would run then if it could."""

    def __init__(self, slices: Slices) -> None:
        self.slices = slices
        self.order: list[str] = []

    def tick(self, *_: object) -> None:
        """To be called in the middle."""
        self.order.append("begin")
        self.slices.spend(1)
        self.order.append("end")

    def run(self, stage: Callable[[], object], other: Callable[[], object] | None = None) -> dict[str, int]:
        """Both to their ends; gives the reasons why slices were not ended."""

        def second() -> None:
            self.order.append("other")
            if other is not None:
                other()

        scheduler = self.slices.scheduler
        gevent.joinall([gevent.spawn(scheduler.run, stage), gevent.spawn(scheduler.run, second)], raise_error=True)
        return scheduler.statistics().postponed

    @property
    def was_cut(self) -> bool:
        """Whether the other one ran in the middle."""
        return self.order[:3] == ["begin", "other", "end"]
