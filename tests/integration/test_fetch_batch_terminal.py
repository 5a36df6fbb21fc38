"""What a person sees of a batch, on a terminal of its own."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.batch import COMMAND, records, run_batch, running_batch, write_list
from tests.support.origin import Origin
from tests.support.processes import ROOT, wait_until
from tests.support.terminal import running_on_terminal


@pytest.fixture
def source(origin: Origin, tmp_path: Path) -> Path:
    """Half of it is quick, and half waits at a gate; some fail."""
    urls = [origin.url(f"/status/404?{n}" if n < 5 else f"/ok/{n}" if n < 20 else "/gate/held") for n in range(40)]
    return write_list(tmp_path / "urls.txt", urls)


def command(source: Path, output: Path, *more: str) -> list[str]:
    return [*COMMAND, str(source), "-o", str(output), "--workers", "1", "--concurrency", "100", *more]


def test_the_whole_picture(origin: Origin, source: Path, tmp_path: Path) -> None:
    batch = command(source, tmp_path / "out.jsonl", "--per-origin", "100", "--pin", "on")
    with running_on_terminal(batch, columns=120) as terminal:
        origin.wait_waiting("held", n=20)
        text = terminal.wait_for("20 of 40 done")
        text = terminal.wait_for("http_status 5")
        bar, core, kinds = terminal.wait_for("20 in flight").splitlines()[-3:]
        assert bar.startswith("██████████░░░░░░░░░░  50%  20 of 40 done  5 failed"), text
        assert core.split()[0] == "core"
        assert "% CPU  hub late" in core
        assert kinds.split() == ["failed", "http_status", "5"]
        assert terminal.colours > 0
        origin.open("held")
        assert terminal.wait() == 1
        after = terminal.text
    assert "40 records: 35 ok, 5 failed" in after
    assert "░" not in after, "the bar is gone"
    assert "core" not in after
    assert after.splitlines()[0].startswith("40 records"), after


def test_a_window_that_changes_its_size(origin: Origin, source: Path, tmp_path: Path) -> None:
    with running_on_terminal(command(source, tmp_path / "out.jsonl"), columns=120) as terminal:
        terminal.wait_for("of 40 done")
        terminal.wait_for("in flight  ")
        for columns in (40, 100, 20, 120):
            terminal.resize(columns)
            # That nothing is left of the old one is shown in tests/unit/test_screen.py, where no picture can be under
            # way while the window changes.
            terminal.wait_for(lambda text, columns=columns: is_drawn_for(text, columns))
        origin.open("held")
        assert terminal.wait() == 1


def is_drawn_for(text: str, columns: int) -> bool:
    first = [line for line in text.splitlines() if "of 40 done" in line][-1]
    return ("░" in first, "ETA" in first, "failed" in first) == (columns > 90, columns > 30, columns > 30)


def test_no_colour_where_none_is_wanted(origin: Origin, source: Path, tmp_path: Path) -> None:
    origin.open("held")
    with running_on_terminal(command(source, tmp_path / "out.jsonl"), env={"NO_COLOR": "1"}) as terminal:
        assert terminal.wait() == 1
        assert terminal.colours == 0


def test_a_terminal_that_can_do_nothing_gets_plain_lines(origin: Origin, source: Path, tmp_path: Path) -> None:
    origin.open("held")
    with running_on_terminal(command(source, tmp_path / "out.jsonl"), env={"TERM": "dumb"}) as terminal:
        assert terminal.wait() == 1
        assert terminal.text.startswith("40 records")


def test_ctrl_c_is_typed(origin: Origin, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with running_on_terminal(command(source, output, "--drain-timeout", "3600")) as terminal:
        origin.wait_waiting("held", n=8)
        terminal.type(b"\x03")
        text = terminal.wait_for("ctrl-C again lets go of it")
        assert "draining" in text
        terminal.type(b"\x03")
        assert terminal.wait() == 130
        assert "nothing is lost, this goes on:" in terminal.text
    origin.open("held")
    assert run_batch(*command(source, output, "--drain-timeout", "3600")[len(COMMAND) :])[0] == 1
    assert [record["index"] for record in records(output)] == list(range(40))


def test_a_window_that_is_closed(origin: Origin, source: Path, tmp_path: Path) -> None:
    """It drains, in silence, and what it did is there."""
    output = tmp_path / "out.jsonl"
    with running_on_terminal(
        command(source, output, "--drain-timeout", "3600", "--summary", str(tmp_path / "s"))
    ) as terminal:
        origin.wait_waiting("held", n=8)
        terminal.wait_for("of 40 done")
        terminal.hang_up()
        wait_until(lambda: origin.counts().in_flight == 8, "those in flight go on")
        origin.open("held")
        assert terminal.wait() == 130
    told = json.loads((tmp_path / "s").read_bytes())
    assert told["state"] == "interrupted"
    assert told["records"] >= 8
    asked = origin.counts().total
    assert run_batch(*command(source, output)[len(COMMAND) :])[0] == 1
    assert origin.counts().total == asked + 40 - told["records"]


def test_progress_for_machines_has_it_all(origin: Origin, source: Path, tmp_path: Path) -> None:
    arguments = command(source, tmp_path / "out.jsonl", "--progress", "json", "--per-origin", "100")[len(COMMAND) :]
    with running_batch(*arguments) as process:
        origin.wait_waiting("held", n=20)
        line = json.loads(process.wait_for_line('"in_flight":20,"total":40'))
        process.signal(signal.SIGINT)
        origin.open("held")
        process.wait()
    assert (line["done"], line["failed"], line["kinds"]) == (20, 5, {"http_status": 5})
    (worker,) = line["workers"]
    assert worker["in_flight"] == 20
    assert worker.keys() == {"pid", "core", "in_flight", "cpu", "late_s"}
    assert [(use["origin"], use["fetches"]) for use in line["slowest"]] in ([], [(origin.base, 20)])


def test_the_parent_carries_nothing_that_it_has_no_use_for() -> None:
    """It starts at once, and answers signals: no hub, no HTTP, no stages."""
    script = (
        "import sys, workers.fetch_batch;"
        "heavy = {'gevent', 'greenlet', 'requests', 'pycurl', 'urllib3', 'rich', 'selectolax', 'PIL'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([COMMAND[0], "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
