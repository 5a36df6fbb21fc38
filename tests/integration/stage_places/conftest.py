"""A runner and an engine, whose threads and processes end with the module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.assembly import build_engine
from app.engine.engine import Engine
from app.engine.stage_rules import StageRules
from app.engine.stage_runner import StageRunner
from app.hub.per_hub import close_this_hub
from app.settings import Settings
from tests.support.stage_runs import WIDE


@pytest.fixture(scope="module")
def runner() -> Iterator[StageRunner]:
    yield StageRunner(StageRules(wide_cpus=WIDE))
    close_this_hub()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    yield build_engine(Settings(stage_processes=1, native_threads=1))
    close_this_hub()
