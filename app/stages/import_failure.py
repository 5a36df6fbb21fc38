"""Import failure: in one line, why a stage can't be imported, and where the person who named it has to look.

The law: a place is in a file of that person's where there is one, and never in what merely does the importing. A module
that is not there has no place; it is told where it was looked for.
"""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
from itertools import dropwhile
from pathlib import Path

from app.errors import UsageError
from app.stages.sources import shared_folders

_HERE = str(Path(__file__).parent) + "/"
_IMPORTERS = ("<frozen ", str(Path(importlib.__file__).parent) + "/")
# Between the name of a stage and what it leads to.
_OURS = tuple(_HERE + name for name in ("registry.py", "reference.py"))


def import_failure(error: BaseException, whose: str = "") -> str:
    """What somebody's module has raised while it was imported, and the line that did; of a mistake in the use of
    @stage, the line that used it.

    whose  who offers it, for what went wrong in no file
    """
    said = _in_words(error)
    place = _place_of(error) or whose
    if not place and isinstance(error, ModuleNotFoundError) and error.name:
        return f"{said}; it was looked for in {', '.join(_looked_in(error.name))}"
    return f"{said} ({place})" if place else said


def _in_words(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, SyntaxError):
        text = error.msg  # without the place, which is told as any other
    if not isinstance(error, UsageError):
        text = f"{type(error).__name__}: {text}"
    return " ".join(text.split())


def _place_of(error: BaseException) -> str:
    """File and line; "" when no file's own code was reached."""
    if isinstance(error, SyntaxError) and error.filename and os.path.exists(error.filename):
        return _place(error.filename, error.lineno)
    frames = traceback.extract_tb(error.__traceback__)
    reached = dropwhile(lambda frame: frame.filename.startswith((*_OURS, *_IMPORTERS)), frames)
    places = [(frame.filename, frame.lineno) for frame in reached if not frame.filename.startswith(_IMPORTERS)]
    if isinstance(error, UsageError):
        places = [place for place in places if not place[0].startswith(_HERE)] or places
    # Whoever wrote the stage is helped by the line of theirs that led into a library, not by the library's.
    shared = shared_folders()
    own = [place for place in places if not place[0].startswith(shared)] or places
    return _place(*own[-1]) if own else ""


def _place(file: str, line: int | None) -> str:
    return f"{file}, line {line}"


def _looked_in(name: str) -> list[str]:
    """Where a module of that name should have been: folders, or the module that is no package."""
    parent = sys.modules.get(name.rpartition(".")[0])
    if parent is not None:
        return list(getattr(parent, "__path__", None) or [parent.__file__ or parent.__name__])
    standard = sysconfig.get_path("stdlib")
    packed = f"{Path(standard).parent}/python{sys.version_info.major}{sys.version_info.minor}.zip"
    # It is none of those that come with Python.
    folders = dict.fromkeys(folder or os.getcwd() for folder in sys.path)
    return [folder for folder in folders if folder not in (packed, standard, f"{standard}/lib-dynload")]
