from __future__ import annotations

import io
import json

import pytest

from workers.progress import Mode, Progress
from workers.tally import Tally


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Scene:
    """A progress display with a clock that is moved by hand."""

    def __init__(self, mode: Mode, stream: io.StringIO | None = None, estimate: float | None = None) -> None:
        self.now_s = 1000.0
        self.stream = stream or io.StringIO()
        self.tally = Tally()
        self.progress = Progress(mode, lambda: estimate, stream=self.stream, clock_s=lambda: self.now_s)

    def after(self, seconds: float, **kinds: int) -> None:
        self.now_s += seconds
        self.tally.set_open(0, kinds)
        self.progress.update(self.tally)


def test_plain_lines_elsewhere_than_on_a_terminal() -> None:
    scene = Scene("auto", estimate=400)
    scene.after(1, ok=10)
    assert scene.stream.getvalue() == ""
    scene.after(4, ok=90, timeout=10)
    assert scene.stream.getvalue() == "fetch-batch: 100 done, 10 failed, 3 in flight, 20/s, ETA 0:15\n"
    scene.tally.total = 1100
    scene.after(5, ok=190, timeout=10)
    assert scene.stream.getvalue().splitlines()[1] == (
        "fetch-batch: 200 of 1,100 done, 10 failed, 3 in flight, 20/s, ETA 0:45"
    )


def test_a_live_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    scene = Scene("auto", Terminal())
    scene.after(1, ok=5, timeout=1)
    assert "6 done" in scene.stream.getvalue()
    assert "1 failed" in scene.stream.getvalue()
    scene.progress.say("draining")
    scene.progress.close()
    assert "draining" in scene.stream.getvalue()


def test_json_for_machines() -> None:
    scene = Scene("json")
    scene.after(2, ok=10)
    assert json.loads(scene.stream.getvalue()) == {
        "done": 10,
        "ok": 10,
        "failed": 0,
        "in_flight": 3,
        "total": None,
        "rate": 5.0,
        "eta_s": None,
        "elapsed_s": 2.0,
    }


def test_none_is_silent_until_the_summary() -> None:
    scene = Scene("none")
    scene.after(100, ok=10, timeout=2, http_status=7)
    assert scene.stream.getvalue() == ""
    scene.tally.resumed = 9
    assert scene.progress.summary(scene.tally) == [
        "19 records: 10 ok, 9 failed; 9 from an earlier run, 10 in 100.0 s (0/s)",
        "  http_status  7",
        "  timeout      2",
    ]


def test_a_successors_counts_replace_those_of_the_dead() -> None:
    tally = Tally()
    tally.set_open(4, {"ok": 7})
    tally.set_open(4, {"ok": 6, "timeout": 1})
    tally.set_open(5, {"ok": 1})
    assert tally.kinds == {"ok": 7, "timeout": 1}
    tally.finish(4, {"ok": 9, "timeout": 1})
    assert tally.kinds == {"ok": 10, "timeout": 1}
