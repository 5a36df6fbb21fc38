"""`bin/bench cpu`, as small as it gets and with clients that need nothing but the project's own environment."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.common.client_run import ClientFailed
from benchmarks.common.contestant import environment_of
from benchmarks.common.cpus import client_and_origin
from benchmarks.cpu.client_run import Interrupts, Measured, run_client
from benchmarks.cpu.contestants import CONTESTANTS, OURS
from benchmarks.cpu.pages import Pages, find_pages, served, unit_s
from benchmarks.cpu.regimes import REGIMES, Regime
from benchmarks.cpu.rounds import Rounds, launchers
from benchmarks.cpu.summary import Run, disagreements
from tests.support import needs
from tests.support.processes import is_alive, running_process, wait_until

CPUS = os.sched_getaffinity(0)
UNIT_S = 50e-6


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """Three of them, one in a folder with a name that a URL must quote."""
    root = tmp_path_factory.mktemp("pages")
    (root / "a b").mkdir()
    for number, name in enumerate(("one.html", "two.html", "a b/three.html")):
        words = "".join(f'<p>the <a href="{word}">tide</a> no. {word * (number + 1)}</p>\n' for word in range(200))
        (root / name).write_text(f"<!DOCTYPE html><title>{name}</title>{words}")
    (root / "notes.txt").write_text("no page")
    (root / "empty.html").write_text("")
    return find_pages(root)


def small(name: str, *clients: str, **changes: Any) -> Regime:
    """One of the regimes, with these clients and hardly any work."""
    regime = next(one for one in REGIMES if one.name == name)
    changes = {"count": 25, "concurrency": 4, "stage_s": 0.004, **changes}
    return msgspec.structs.replace(regime, clients=clients, **changes)


def run(regime: Regime, pages: Pages, rounds: int = 1) -> list[Run]:
    done = Rounds(regime, launchers([regime]), pages, rounds=rounds, seed=1, unit_s=UNIT_S, slice_s=0.002)
    done.run(*client_and_origin())
    return done.runs


def by_client(runs: list[Run]) -> dict[str, Run]:
    return {run.client: run for run in runs}


def test_pages_are_found_in_order(pages: Pages) -> None:
    assert [str(path) for path in pages.paths] == ["a b/three.html", "one.html", "two.html"]
    assert pages.sizes == tuple(pages.file(number).stat().st_size for number in range(3))
    assert pages.url(0, "http://x") == "http://x/a%20b/three.html"


def test_no_pages_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no \*\.html below"):
        find_pages(tmp_path)


def test_a_unit_takes_some_microseconds(pages: Pages) -> None:
    assert 1e-7 < unit_s(pages, min(CPUS)) < 1e-1


def test_the_mix_is_done_and_all_agree(pages: Pages) -> None:
    """On both sides of the pin, with stages inline, in threads and in slices; the signals are answered."""
    needs.nginx()
    clients = (OURS, "gevent-inline", "threads", "threads-pinned")
    runs = run(small("mix", *clients), pages)
    assert sorted(run.client for run in runs) == sorted(clients)
    for one in runs:
        assert (one.failure, one.errors, one.first_error) == ("", 0, "")
        assert one.done == 25
        assert sorted(one.scores) == list(range(25))
        assert one.took_p50_s.keys() == {"short", "medium", "long"}
        assert one.ticks > 0
        assert 0 <= one.late_p50_s <= one.late_p99_s <= one.late_max_s
        assert all(value >= 0 for value in one.handled_s)
    assert len({one.scores[0] for one in runs}) == 1
    assert disagreements(runs) == []
    assert by_client(runs)["threads"].looped_s == []
    assert by_client(runs)[OURS].statistics["runs"] >= 25


def test_without_a_network_and_with_probes(pages: Pages) -> None:
    runs = run(small("short", OURS, "threads-pinned", stage_s=0.03), pages)
    for one in runs:
        assert (one.failure, one.errors, one.done) == ("", 0, 25)
        assert one.probes_s
        assert all(value >= 0 for value in one.probes_s)
    assert disagreements(runs) == []


def test_one_after_another_has_no_ticker(pages: Pages) -> None:
    (one,) = run(small("lateness", "in-turn"), pages)
    assert (one.failure, one.done, one.ticks) == ("", 25, 0)


def test_both_ways_take_turns(pages: Pages) -> None:
    (one,) = run(small("rate", "alternating", count=10, stage_s=0.05, pairs=2), pages)
    assert (one.failure, one.errors, one.first_error, one.done) == ("", 0, "", 40)
    assert len(one.pairs) == 2
    for pair in one.pairs:
        assert pair.windows > 1
        assert pair.slices > 1
        assert min(pair.plain_cpu_s, pair.sliced_cpu_s) > 0
        assert pair.plain_wall_s >= pair.plain_cpu_s * 0.9
        assert pair.sliced_wall_s >= pair.sliced_cpu_s * 0.9
    assert one.ticks > 0


def test_native_calls_are_made_in_both_ways(pages: Pages) -> None:
    runs = run(small("native-zlib", "pool-pinned", "percore-threads", count=4), pages)
    assert [(one.failure, one.errors, one.done) for one in runs] == [("", 0, 4)] * 2
    assert disagreements(runs) == []


def test_the_batch_is_measured_by_its_records(pages: Pages) -> None:
    needs.nginx()
    runs = run(small("scale", "batch-1", "batch-2", count=75), pages)
    for one in runs:
        assert (one.failure, one.errors, one.first_error, one.done) == ("", 0, "", 75)
        assert one.wall_s > 0
    assert disagreements(runs) == []


def test_a_wrong_answer_is_an_error(pages: Pages, tmp_path: Path) -> None:
    needs.nginx()
    with served(pages, min(CPUS)) as base:
        right = {"url": pages.url(1, base), "body_bytes": pages.sizes[1], "kind": "short", "units": 2}
        items = [right, {**right, "body_bytes": pages.sizes[1] + 1}, {**right, "url": f"{base}/none.html"}]
        for client in ("gevent-inline", "threads-pinned"):
            measured, _ = measure(
                client, tmp_path, {"items": items, "concurrency": 1, "fetched": True, "slice_s": 0.002}
            )
            assert (measured.done, measured.errors) == (1, 2)
            assert f"status 200 with {pages.sizes[1]} bytes instead of" in measured.first_error


def measure(client: str, folder: Path, task: dict[str, Any]) -> tuple[Measured, Interrupts]:
    file = folder / "task.json"
    file.write_text(json.dumps(task))
    command = [sys.executable, "-m", f"benchmarks.cpu.clients.{CONTESTANTS[client].program}"]
    return run_client(command, environment_of(CONTESTANTS[client]), task=file, cpus=CPUS, timeout_s=60, interrupts=None)


FIGURES = json.dumps({"done": 1, "errors": 0, "first_error": "", "wall_s": 1, "cpu_s": 1, "peak_rss_bytes": 1})

TALK = f"""
import os, signal, sys, time
pipe, answered = int(sys.argv[-1]), []
def tell(line):
    os.write(pipe, line.encode() + b"\\n")
def handler(*_):
    answered.append(time.monotonic_ns())
signal.signal(signal.SIGINT, handler)
PLACE
print('{FIGURES}')
"""


def talk(folder: Path, code: str, interrupts: random.Random | None, timeout_s: float = 60) -> Interrupts:
    """A client that says what `code` says."""
    file = folder / "talk.py"
    file.write_text(TALK.replace("PLACE", code))
    _, said = run_client(
        [sys.executable, file],
        os.environ,
        task=folder / "none",
        cpus=CPUS,
        timeout_s=timeout_s,
        interrupts=interrupts,
    )
    return said


def test_signals_come_one_at_a_time_and_both_answers_are_timed(tmp_path: Path) -> None:
    code = """
tell("begin loop")
for number in range(3):
    while len(answered) <= number:
        signal.pause()
    assert len(answered) == number + 1
    tell(f"handled {answered[number]}")
    tell(f"looped {answered[number] + 5_000_000_000}")
tell("end")
"""
    said = talk(tmp_path, code, random.Random(1))
    assert len(said.handled_s) == len(said.looped_s) == 3
    for handled_s, looped_s in zip(said.handled_s, said.looped_s, strict=True):
        assert 0 <= handled_s < 60
        assert looped_s == pytest.approx(handled_s + 5)


def test_a_client_without_a_loop_answers_once(tmp_path: Path) -> None:
    code = """
tell("begin")
while not answered:
    signal.pause()
tell(f"handled {answered[0]}")
tell("end")
"""
    said = talk(tmp_path, code, random.Random(1))
    assert (len(said.handled_s), said.looped_s) == (1, [])


def test_a_signal_that_the_list_was_done_before_counts_for_as_long_as_it_waited(tmp_path: Path) -> None:
    code = """
tell("begin loop")
while not answered:
    signal.pause()
tell("end")
"""
    said = talk(tmp_path, code, random.Random(1))
    assert len(said.handled_s) == len(said.looped_s) == 1
    assert said.handled_s[0] > 0


def test_no_signal_comes_before_the_list_begins_or_where_none_is_wanted(tmp_path: Path) -> None:
    code = """
time.sleep(0.5)
assert not answered
tell("begin")
tell("end")
time.sleep(0.5)
assert not answered
"""
    assert talk(tmp_path, code, random.Random(1)) == Interrupts([], [])
    assert talk(tmp_path, code.replace('tell("end")', ""), None) == Interrupts([], [])


def test_a_client_that_fails_says_why(tmp_path: Path) -> None:
    for code, reason in (
        ("sys.exit('no such thing')", "ended with 1: no such thing"),
        ("tell('begin'); sys.exit('no such thing')", "ended with 1: no such thing"),
        ("print('hello'); os._exit(0)", "said no line of figures"),
        ("sys.stdout.flush(); os._exit(0)", "said no line of figures"),
    ):
        with pytest.raises(ClientFailed, match=reason):
            talk(tmp_path, code, random.Random(1))


def test_the_time_of_a_client_is_bounded(tmp_path: Path) -> None:
    for code in ("signal.pause()", "tell('begin'); signal.sigwait([])", "tell('end'); signal.pause(); signal.pause()"):
        with pytest.raises(ClientFailed, match=r"not done after 0\.6 s"):
            talk(tmp_path, code, random.Random(1), timeout_s=0.6)


@pytest.fixture
def _ended_with_children(tmp_path: Path) -> Iterator[Path]:
    pids = tmp_path / "pids"
    yield pids
    for pid in pids.read_text().split():
        wait_until(lambda pid=int(pid): not is_alive(pid), f"{pid} ended")


def test_a_client_is_ended_with_its_children(_ended_with_children: Path, tmp_path: Path) -> None:  # noqa: PT019
    code = f"""
import subprocess
child = subprocess.Popen(["sleep", "600"])
open({str(_ended_with_children)!r}, "w").write(f"{{child.pid}} {{os.getpid()}}")
tell("begin"); tell("end")
"""
    talk(tmp_path, code, None)


def test_stopped_it_leaves_nothing_running_and_gives_what_it_has(pages: Pages, tmp_path: Path) -> None:
    """Its temporary files lie in `tmp_path`, so whatever it starts has that on its command line."""
    figures, svg = tmp_path / "figures.json", tmp_path / "late.svg"
    command = [sys.executable, "-m", "benchmarks", "cpu", "--quick", "--rounds", "1000", "--regime", "lateness"]
    options = ["--pages", str(pages.root), "--only", "threads,in-turn", "--json", figures, "--svg", svg]
    with running_process([*command, *options], env={**os.environ, "TMPDIR": str(tmp_path)}) as bench:
        bench.wait_for_line("round 2: ")
        bench.signal(signal.SIGINT)
        assert bench.wait() == 128 + signal.SIGINT
    assert not list(tmp_path.glob("bench-*"))
    known = json.loads(figures.read_text())
    assert known["interrupted"]
    assert len(known["regimes"][0]["runs"]) >= 3
    assert "threads" in svg.read_text()


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    for options, line in (
        (["--only", "curl"], "curl: choose from percore"),
        (["--regime", "nativ"], "nativ: choose from mix"),
        (["--only", "in-turn", "--regime", "mix"], "none of these clients takes part in these regimes"),
        (["--rounds", "0"], "at least 1"),
        (["--pages", str(tmp_path)], "no *.html below"),
    ):
        with running_process([sys.executable, "-m", "benchmarks", "cpu", *options]) as bench:
            assert bench.wait() in (1, 2)
        assert line in bench.stderr
        assert "Traceback" not in bench.stderr
