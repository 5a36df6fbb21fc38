"""Lookout: does what each child's watch says: asks where a silent child is stuck, tells it, and ends it in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.errors import UsageError
from app.settings import variable_of
from workers.child import Child
from workers.messages import Begin
from workers.watch import ASKED_AT, Step


class Lookout:
    """For the children of one run, who were told `begin`. say: shows a line."""

    def __init__(self, begin: Begin, say: Callable[[str], None]) -> None:
        self._stages = begin.stages
        self._settings = begin.settings
        self._say = say

    def look(self, children: Iterable[Child], now_s: float, *, has_begun: bool) -> None:
        """Look at each child once. now_s: on the monotonic clock.

        has_begun  some child was ready
        Raises UsageError when none was, and one is out of time.
        """
        settings = self._settings
        for child in children:
            if child.is_silent:
                continue
            match child.watch.look(now_s, settings.deadman_s if child.is_ready else settings.start_timeout_s):
                case Step.ASK:
                    child.ask_where()
                case Step.TELL:
                    self._say(f"fetch-batch: {self._stuck(child, now_s)}")
                case Step.REPLACE:
                    if not has_begun:
                        raise self._never_began(child)
                    self._say(f"fetch-batch: {self._stuck(child, now_s)}, and is ended")
                    child.kill()

    def _never_began(self, child: Child) -> UsageError:
        """Nobody else did either, so another try would hang there too."""
        limit_s = self._settings.start_timeout_s
        frame = child.innermost_frame()
        where = f" (after {limit_s * ASKED_AT:.0f} s one was in {frame})" if frame else ""
        return UsageError(
            f"no worker was ready after {limit_s:g} s{where}: the import of a stage hangs, or wants a longer "
            f"{variable_of('start_timeout_s')}"
        )

    def _stuck(self, child: Child, now_s: float) -> str:
        if not child.is_ready:
            frame = child.innermost_frame()
            told = f"worker {child.process.pid} is not ready after {child.watch.silent_s(now_s):.1f} s"
            return told + (f", in {frame}" if frame else "")
        notes = child.running()
        what = ", ".join(f"{self._stages[note.stage]!r} of request {note.request}" for note in notes[:3])
        more = f" and {len(notes) - 3} more" if len(notes) > 3 else ""
        return (
            f"worker {child.process.pid} has not answered for {child.watch.silent_s(now_s):.1f} s"
            + (f", with stage {what}{more} begun" if notes else "")
            + (f", in {frame}" if (frame := child.innermost_frame()) else "")
        )
