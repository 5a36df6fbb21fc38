"""Stage errors: what a stage raised, as the text of a record: the same wherever the stage ran."""

from __future__ import annotations

from app.errors import StageCrashed, StageRaised


def text_of_error(error: BaseException) -> str:
    """Type and message, "ValueError: no number", as app.cpu.isolated_child writes them; never raises."""
    if isinstance(error, (StageCrashed, StageRaised)):
        return str(error)
    name = type(error).__qualname__
    try:
        message = str(error)
    except BaseException as another:
        message = f"(its text can't be had: {type(another).__name__})"
    return f"{name}: {message}" if message else name
