from app.fetching.page import Page
from app.stages.base import Stage, stage

__all__ = ["Page", "Stage", "stage"]
