"""What an isolated child has imported: nothing of ours to start, and neither gevent nor libcurl to run a stage."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cpu.processes import Processes
from app.fetching.page import Page
from app.stages.base import Stage
from app.stages.crossing import CALL, argument_of
from app.stages.values import Earlier
from tests.support.hubs import WIDE
from tests.support.pages import make_page
from tests.support.processes import ROOT

LONG_S = 1000.0

# Each would cost every child its import's time and memory; gevent and libcurl have no use in it at all.
LARGE = frozenset({"gevent", "greenlet", "msgspec", "pycurl", "requests", "urllib3"})

# Of stages that take no HTML: the smallest image there is.
BODIES = {"json": b"{}", "image": b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"}

TELLS = """\
import json
import sys

def loaded(_):
    return json.dumps(sorted(sys.modules)).encode()
"""

STAGE = """\
from app.stages import Page, checkpoint, no_preempt, stage

@stage(runs_in="process")
def own(page: Page):
    checkpoint()
    with no_preempt():
        return [page.text, page.headers["content-type"], page.json(), page.raw.status, page.request.method]
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    (tmp_path / "tells.py").write_text(TELLS)
    (tmp_path / "own.py").write_text(STAGE)
    path = (str(ROOT), str(tmp_path), *filter(None, sys.path))
    made = Processes(children=1, wide_cpus=WIDE, path=path)
    yield made
    made.close()


def run(processes: Processes, reference: str, page: Page) -> object:
    """The stage's value."""
    stage = Stage("any", len, "process", reference=reference)
    return json.loads(processes.run(CALL, *argument_of(stage, page, Earlier({})), timeout_s=LONG_S))


def loaded(processes: Processes) -> set[str]:
    return set(json.loads(processes.run("tells:loaded", b"", timeout_s=LONG_S)))


def test_a_child_starts_with_the_standard_library_and_its_own_two_files(processes: Processes) -> None:
    found = loaded(processes)
    assert {name for name in found if name.partition(".")[0] in ("app", "workers")} == {
        "app",
        "app.lazy",
        "app.cpu",
        "app.cpu.isolated_child",
        "app.cpu.isolated_frames",
    }
    assert not found & LARGE


@pytest.mark.parametrize("name", ["sha256", "title", "links", "text", "json", "language", "image", "simhash"])
def test_a_built_in_stage_brings_no_gevent_and_no_libcurl(processes: Processes, name: str) -> None:
    page = make_page(BODIES.get(name, b"<title>t</title><p>Words of a page</p>"))
    run(processes, f"app.stages.{name}:{name}", page)
    assert not loaded(processes) & {"gevent", "pycurl"}
    assert "app.stages.crossing" in loaded(processes)


def test_neither_does_a_stage_that_uses_all_that_stages_may_import(processes: Processes) -> None:
    value = run(processes, "own:own", make_page('{"a": 1}'))
    assert value == ['{"a": 1}', "text/html; charset=utf-8", {"a": 1}, 200, "GET"]
    assert not loaded(processes) & {"gevent", "pycurl"}
