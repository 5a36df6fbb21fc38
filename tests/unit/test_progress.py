from __future__ import annotations

import io
import json

import msgspec
import pytest

from app.policy.heaviest import Weighed
from tests.support.processes import HANG_GUARD_S
from tests.unit.test_outlet import Held
from workers.phase import PhaseState
from workers.progress import Mode, Progress
from workers.progress_view import Snapshot, picture
from workers.summary import OriginUse, Summary
from workers.tally import Tally, WorkerState


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Scene:
    """A progress display with a clock that is moved by hand."""

    def __init__(self, mode: Mode, stream: io.StringIO | None = None, estimate: float | None = None) -> None:
        self.now_s = 1000.0
        self.stream = stream or io.StringIO()
        self.tally = Tally()
        self.tally.workers = [state(3)]
        self.progress = Progress(mode, lambda: estimate, stream=self.stream, clock_s=lambda: self.now_s)

    def after(self, seconds: float, **kinds: int) -> None:
        self.now_s += seconds
        self.tally.set_open(0, kinds)
        self.progress.update(self.tally)

    def shown(self) -> str:
        """All that was written, once it is."""
        self.progress.pause(HANG_GUARD_S)
        return self.stream.getvalue()

    def close(self) -> str:
        self.progress.close(lambda: HANG_GUARD_S)
        return self.stream.getvalue()


def state(in_flight: int) -> WorkerState:
    return WorkerState(1, None, in_flight, 0.0, 0.0)


def test_plain_lines_elsewhere_than_on_a_terminal() -> None:
    scene = Scene("auto", estimate=400)
    scene.after(1, ok=10)
    assert scene.shown() == ""
    scene.after(4, ok=90, timeout=10)
    assert scene.shown() == "fetch-batch: 100 done, 10 failed, 3 in flight, 20/s, ETA 0:15\n"
    scene.tally.total = 1100
    scene.after(5, ok=190, timeout=10)
    assert scene.shown().splitlines()[1] == ("fetch-batch: 200 of 1,100 done, 10 failed, 3 in flight, 20/s, ETA 0:45")


def test_lines_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    scene = Scene("auto", Terminal())
    scene.after(1, ok=5, timeout=1)
    shown = scene.shown()
    assert "6 done" in shown
    assert "1 failed" in shown
    scene.progress.say("draining")
    assert scene.close().endswith("draining\r\n\r\x1b[J")


def test_who_reads_again_is_told_what_is_missing() -> None:
    stream = Held()
    scene = Scene("auto", stream)
    scene.progress.say("first")
    assert stream.begun.wait(HANG_GUARD_S)
    for number in range(600):
        scene.progress.say(f"{number}", "and more")
    scene.progress.say(*map(str, range(500)))
    for number in range(600, 1000):
        scene.progress.say(f"{number}", "and more")
    scene.after(5, ok=1)
    stream.read.set()
    lines = scene.shown().splitlines()
    assert lines[:3] == ["first", "2", "and more"], "as many pieces as are kept"
    scene.after(5, ok=1)
    assert [line for line in scene.shown().splitlines() if "dropped" in line] == [
        "fetch-batch: 4 lines were dropped, which nobody read in time"
    ]
    assert scene.close().count("dropped") == 1


def test_several_lines_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for mode, stream, shown in (
        ("json", io.StringIO(), '{"message":"one"}\n{"message":"two"}\n'),
        ("none", io.StringIO(), "one\ntwo\n"),
        ("auto", Terminal(), "\r\x1b[Jone\ntwo\r\n"),
    ):
        scene = Scene(mode, stream)  # type: ignore[arg-type]
        scene.progress.say("one", "two")
        scene.progress.say()
        assert scene.shown().startswith(shown)
        scene.close()


def test_json_for_machines() -> None:
    scene = Scene("json", estimate=100)
    scene.tally.workers = [WorkerState(7, 0, 3, 0.5, 0.001)]
    scene.tally.set_slowest(7, [Weighed("http://a", 2, 3.0)])
    scene.after(2, ok=9, timeout=1)
    assert json.loads(scene.shown()) == {
        "done": 10,
        "ok": 9,
        "failed": 1,
        "in_flight": 3,
        "total": None,
        "rate": 5.0,
        "eta_s": 18.0,
        "elapsed_s": 2.0,
        "expected": 100.0,
        "kinds": {"timeout": 1},
        "workers": [{"pid": 7, "core": 0, "in_flight": 3, "cpu": 0.5, "late_s": 0.001}],
        "slowest": [{"origin": "http://a", "fetches": 2, "seconds": 3.0}],
        "phase": {"name": "fetching", "output": "", "share": None},
    }


def test_among_json_lines_all_are() -> None:
    scene = Scene("json")
    scene.after(2, ok=1)
    scene.progress.say("fetch-batch: draining")
    scene.progress.sum_up(summary_of(1, 2))
    state, said, summary = map(json.loads, scene.close().splitlines())
    assert state["done"] == 1
    assert said == {"message": "fetch-batch: draining"}
    assert summary == {"summary": json.loads(msgspec.json.encode(summary_of(1, 2)))}


@pytest.mark.parametrize(
    ("columns", "plain", "share", "shown"),
    [
        (80, False, 0.25, "█████░░░░░░░░░░░░░░░  25%  assembling out.jsonl"),
        (80, True, 1.0, "#################### 100%  assembling out.jsonl"),
        (80, True, None, "....................       assembling out.jsonl"),
        (46, False, 0.25, " 25%  assembling out.jsonl"),
    ],
)
def test_a_phase_without_fetching_has_the_picture_to_itself(
    columns: int, plain: bool, share: float | None, shown: str
) -> None:
    snapshot = msgspec.structs.replace(crowded(), phase=PhaseState("assembling", "out.jsonl", share))
    (line,) = picture(snapshot, 9, columns=columns, plain=plain)
    assert "".join(text for text, _ in line) == shown


def test_a_phase_in_a_plain_line() -> None:
    scene = Scene("auto")
    scene.now_s += 5
    scene.progress.update(scene.tally, PhaseState("unpacking", "out/", 0.456))
    assert scene.shown() == "fetch-batch: unpacking out/: 46%\n"
    scene.now_s += 5
    scene.progress.update(scene.tally, PhaseState("dropping", "out/", 1.0))
    assert scene.shown().splitlines()[1:] == ["fetch-batch: taking failures out of out/: 100%"]
    scene.now_s += 5
    scene.progress.update(scene.tally, PhaseState("assembling", "out.warc.gz", None))
    assert scene.shown().splitlines()[2:] == ["fetch-batch: assembling out.warc.gz: begun"]


def test_none_is_silent() -> None:
    scene = Scene("none")
    scene.after(100, ok=10, timeout=2, http_status=7)
    assert scene.shown() == ""


class Gone(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_gone_takes_nothing_with_it() -> None:
    scene = Scene("json", Gone())
    scene.after(2, ok=10)
    scene.progress.say("draining")
    scene.after(2, ok=20)
    scene.close()


def crowded() -> Snapshot:
    return Snapshot(
        done=50,
        ok=40,
        failed=10,
        in_flight=8,
        total=100,
        rate=5.0,
        eta_s=3600.0,
        elapsed_s=1.0,
        expected=100.0,
        kinds={"timeout": 6, "http_status": 4},
        workers=[WorkerState(n, n, 2, 0.5, 0.001 * n) for n in range(4)],
        slowest=[OriginUse("http://a", 2, 8.0), OriginUse("http://b", 10, 5.0)],
    )


@pytest.mark.parametrize("rows", range(1, 12))
def test_as_much_as_there_is_room_for(rows: int) -> None:
    snapshot = crowded()
    lines = ["".join(text for text, _ in line) for line in picture(snapshot, rows, plain=True)]
    assert len(lines) == min(rows, 7)
    assert lines[0] == "##########..........  50%  50 of 100 done  10 failed  8 in flight  5/s  ETA 1:00:00"
    if rows >= 3:
        assert lines[-2:] == [
            "  failed        timeout 6, http_status 4",
            "  most time     http://a 4 s x 2, http://b 0.5 s x 10",
        ]
    if rows == 5:
        assert lines[1:3] == [
            "  core 0             2 in flight    50% CPU  hub late 0.0 ms",
            "  and 3 more         6 in flight   150% CPU  hub late 3.0 ms",
        ]
    if rows >= 7:
        assert lines[4] == "  core 3             2 in flight    50% CPU  hub late 3.0 ms"


@pytest.mark.parametrize(
    ("columns", "first"),
    [
        (83, "##########..........  50%  50 of 100 done  10 failed  8 in flight  5/s  ETA 1:00:00"),
        (82, " 50%  50 of 100 done  10 failed  8 in flight  5/s  ETA 1:00:00"),
        (62, " 50%  50 of 100 done  10 failed  8 in flight  5/s  ETA 1:00:00"),
        (61, " 50%  50 of 100 done  10 failed  5/s  ETA 1:00:00"),
        (45, "50 of 100 done  10 failed  5/s  ETA 1:00:00"),
        (40, "50 of 100 done  10 failed  ETA 1:00:00"),
        (30, "50 of 100 done  10 failed"),
        (19, "50 of 100 done"),
        (5, "50 of 100 done"),
    ],
)
def test_a_narrow_window_is_shown_what_matters_most(columns: int, first: str) -> None:
    lines = ["".join(text for text, _ in line) for line in picture(crowded(), 20, columns=columns, plain=True)]
    assert lines[0] == first
    if columns < 64:
        assert lines[1] == "core 0 2 in flight  50% CPU  hub late 0.0 ms"
        assert lines[-2] == "failed timeout 6, http_status 4"


def test_what_the_dead_have_told_stays() -> None:
    tally = Tally()
    tally.set_slowest(1, [Weighed("http://a", 1, 1.0)])
    tally.ended(1)
    tally.set_slowest(2, [Weighed("http://a", 2, 2.0)])
    tally.ended(3)
    assert tally.slowest(5) == [Weighed("http://a", 3, 3.0)]


def test_a_successors_counts_replace_those_of_the_dead() -> None:
    tally = Tally()
    tally.set_open(4, {"ok": 7})
    tally.set_open(4, {"ok": 6, "timeout": 1})
    tally.set_open(5, {"ok": 1})
    assert tally.kinds == {"ok": 7, "timeout": 1}
    tally.finish(4, {"ok": 9, "timeout": 1})
    assert tally.kinds == {"ok": 10, "timeout": 1}


def summary_of(*fetches: int) -> Summary:
    return Summary(
        state="finished",
        records=19,
        ok=10,
        failed=9,
        kinds={"http_status": 7, "timeout": 2},
        resumed=9,
        fetched=10,
        elapsed_s=100.0,
        rate=0.1,
        started_at="2026-01-01T00:00:00+00:00",
        outputs=["out.jsonl"],
        workers=2,
        slowest_origins=[OriginUse(f"http://{name}", n, 2.5 * n) for name, n in zip("abcd", fetches, strict=False)],
    )


def test_a_summary_in_words() -> None:
    assert summary_of(4, 1).lines() == [
        "19 records: 10 ok, 9 failed; 9 from an earlier run, 10 in 100.0 s (0/s)",
        "  http_status  7",
        "  timeout      2",
        "most time went to:",
        "  http://a  2.5 s a fetch, 4 fetches",
        "  http://b  2.5 s a fetch, 1 fetch",
    ]
