"""An overseer that notes what it is told."""

from __future__ import annotations

from typing import Any

from app.engine.overseer import Overseer


class Noted(Overseer):
    """running: the notes that stand; begun: all that were ever made; entered: requests whose stages have begun."""

    def __init__(self) -> None:
        self.running: list[object] = []
        self.begun: list[tuple[int, str]] = []
        self.entered: list[int] = []

    def around(self, index: int) -> Any:
        self.entered.append(index)
        return super().around(index)

    def begins(self, index: int, stage: str) -> object:
        self.begun.append((index, stage))
        note = object()
        self.running.append(note)
        return note

    def ends(self, note: object) -> None:
        self.running.remove(note)
