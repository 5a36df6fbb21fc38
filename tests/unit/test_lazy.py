"""Lazy names: there when asked for, in every way that Python asks; and never a module of the same name instead."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import app.cpu
import app.fetching
from tests.support.processes import HANG_GUARD_S, ROOT

LAZY = [app.cpu, app.fetching]


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_every_public_name_is_there(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert callable(getattr(package, name))
        assert name in dir(package)


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_no_public_name_is_that_of_a_module(package: object) -> None:
    modules = {found.name for found in pkgutil.iter_modules(package.__path__)}  # type: ignore[attr-defined]
    assert not modules & set(package.__all__)  # type: ignore[attr-defined]


def test_a_name_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(ImportError, match=r"cannot import name 'Sesion' from 'app\.fetching'"):
        exec("from app.fetching import Sesion")
    with pytest.raises(AttributeError, match=r"module 'app\.cpu' has no attribute 'nothing'"):
        app.cpu.nothing  # noqa: B018
    assert not hasattr(app.cpu, "nothing")


@pytest.mark.parametrize(
    "asks",
    [
        "from app.cpu import run_sliced",
        "from app.cpu import *; run_sliced",
        "import app.cpu; app.cpu.run_sliced",
        "from app.cpu.safe_points import passing; from app.cpu import run_sliced",
        "from app.fetching import CurlAdapter, Page, Session",
        "from app.fetching import *; Session",
        "from app.fetching.page import Page as one; from app.fetching import Page; assert one is Page",
        "from app.stages import Page, Stage, checkpoint, no_preempt, stage",
    ],
)
def test_however_it_is_asked_for(asks: str) -> None:
    """In a fresh interpreter, where nobody has asked before."""
    subprocess.run([sys.executable, "-c", asks], cwd=ROOT, check=True, timeout=HANG_GUARD_S)


def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sliced = importlib.import_module("app.cpu.sliced")
    before = app.cpu.run_sliced
    monkeypatch.setattr(sliced, "run_sliced", None)
    assert app.cpu.run_sliced is before
