from app.stages.base import Stage, stage

__all__ = ["Stage", "stage"]
