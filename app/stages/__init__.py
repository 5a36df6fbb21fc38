from app.cpu.cooperation import checkpoint, no_preempt
from app.fetching.page import Page
from app.stages.base import Stage, stage

__all__ = ["Page", "Stage", "checkpoint", "no_preempt", "stage"]
