"""`bin/bench batch`, as small as it gets and with clients that need nothing but the project's own environment."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.batch.contestants import OURS, Contestant, Output
from benchmarks.batch.history import History
from benchmarks.batch.journal import WAYS, ways
from benchmarks.batch.killing import Killing, counting_origin
from benchmarks.batch.pages import body_of
from benchmarks.batch.regimes import REGIMES, Regime
from benchmarks.batch.rounds import Rounds
from benchmarks.batch.tree import growing
from benchmarks.common.contestant import Home
from benchmarks.common.cpus import client_and_origin
from benchmarks.cpu.pages import Pages, find_pages
from tests.support import needs
from tests.support.processes import is_alive, running_process, wait_until

CPU = min(os.sched_getaffinity(0))


def small(name: str, *clients: str, **changes: Any) -> Regime:
    """One of the regimes, with these clients and a short list."""
    regime = next(one for one in REGIMES if one.name == name)
    return msgspec.structs.replace(regime, clients=clients, **{"count": 60, "concurrency": 4, "kills": 2, **changes})


def run(regime: Regime, pages: Pages | None = None) -> Rounds:
    done = Rounds(regime, pages, rounds=1, count=None, seed=1, is_quick=True)
    done.run(*client_and_origin())
    return done


def test_lists_are_done_by_all() -> None:
    needs.nginx()
    needs.require_program("curl", how="apt install curl")
    clients = (OURS, "curl", "shards", "script", "script-flush")
    runs = run(small("rate", *clients)).runs
    assert sorted(one.client for one in runs) == sorted(clients)
    for one in runs:
        assert (one.failure, one.errors, one.first_error, one.done) == ("", 0, "", 60)
        assert one.wall_s > 0
        assert one.cpu_s > 0


def test_stages_take_two_cores(tmp_path: Path) -> None:
    needs.nginx()
    for number in range(3):
        (tmp_path / f"{number}.html").write_text(f"<title>{number}</title><p>" + f"the {number} tides " * 50)
    regime = small("cores", "workers-1", "workers-2", count=75, start_count=25)
    for one in run(regime, find_pages(tmp_path)).runs:
        assert (one.failure, one.errors, one.first_error, one.done) == ("", 0, "", 50)


def test_the_journal_is_one_of_three_ways() -> None:
    needs.nginx()
    (one,) = run(small("journal", "journal")).runs
    assert (one.failure, one.errors) == ("", 0)
    assert len(one.turns) == 2
    assert [way.name for way in ways(one.turns, 60)] == list(WAYS)


@pytest.mark.parametrize("client", [OURS, "script", "shards"])
def test_a_list_is_done_in_spite_of_kills(client: str) -> None:
    (one,) = run(small("killed", client)).runs
    assert one.failure == ""
    assert one.history is not None
    assert one.history.kills >= 2
    assert one.history.lives >= 4
    if client == OURS:
        assert one.history.passes, one.history


CHEAT = """
import json, hashlib, pathlib, sys, time, urllib.request
urls, folder, mode = pathlib.Path(sys.argv[1]).read_text().split(), pathlib.Path(sys.argv[2]), sys.argv[3]
lives = folder / "lives"
life = int(lives.read_text()) if lives.exists() else 0
lives.write_text(str(life + 1))
out = folder / "out.jsonl"
known = out.read_text().count("\\n") if out.exists() else 0
if mode == "forgets":
    out.unlink(missing_ok=True)
    known = 0
with out.open("a") as file:
    for url in urls[known:]:
        if mode == "crashes" and life:
            sys.exit("no more")
        body = urllib.request.urlopen(url).read()
        file.write(json.dumps({"url": url, "sha256": hashlib.sha256(body).hexdigest()}) + "\\n")
        file.flush()
    if not life:
        file.write('{"url": "torn' if mode == "tears" else "")
        file.flush()
        time.sleep(600)
"""


class _Cheat(Contestant, frozen=True):
    def command(self, urls: Path, folder: Path, concurrency: int) -> list[str]:
        return [sys.executable, "-c", CHEAT, str(urls), str(folder), self.program]


def cheated(mode: str, folder: Path, *, kills: int = 0) -> History:
    """A client that does 20 URLs one after another, waits at the end of its first life, and does wrong in one way."""
    cheat = _Cheat("cheat", Home.PROJECT, mode, "", Output.LINES, "")
    return Killing(cheat, folder / "it", count=20, concurrency=1, kills=kills, seed="1").run(*client_and_origin())


def test_who_goes_on_where_he_was_passes(tmp_path: Path) -> None:
    history = cheated("honest", tmp_path)
    assert history.passes, history
    assert (history.kills, history.lives, history.crashes, history.refetched, history.extra) == (1, 3, 0, 0, 0)


def test_who_forgets_is_found_out_by_the_origin(tmp_path: Path) -> None:
    history = cheated("forgets", tmp_path)
    # The output is right, but all was fetched again in the two lives after the kill, and the second time for nothing.
    assert history.verdict.faults == 0
    assert history.refetched == history.extra == 40
    assert not history.passes


def test_a_torn_line_is_found(tmp_path: Path) -> None:
    history = cheated("tears", tmp_path)
    assert (history.verdict.torn, history.verdict.lost, history.passes) == (1, 0, False)


def test_who_can_t_start_again_is_given_up(tmp_path: Path) -> None:
    history = cheated("crashes", tmp_path, kills=1)
    assert history.failure == "ended with 1: no more"
    assert history.crashes >= 1
    assert not history.passes


def test_the_origin_counts_what_was_asked_and_says_when() -> None:
    with counting_origin(3, CPU) as origin:
        for number in (0, 2, 2):
            got = subprocess.run(
                ["python3", "-c", f"import urllib.request as u; print(len(u.urlopen('{origin.base}{number}').read()))"],
                capture_output=True,
                text=True,
                check=True,
            )
            assert int(got.stdout) == len(body_of(number))
        assert origin.answered() == 3
        assert origin.asked() == [1, 0, 2]


def test_counts_wait_for_whoever_is_connected() -> None:
    with counting_origin(1, CPU) as origin:
        port = int(origin.base.split(":")[2].split("/")[0])
        open_one = http.client.HTTPConnection("127.0.0.1", port)
        open_one.request("GET", "/page/0")
        open_one.getresponse().read()
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=0.3)
        asking.request("GET", "/counts")
        with pytest.raises(TimeoutError):
            asking.getresponse()
        asking.close()
        open_one.close()
        assert origin.asked() == [1]


def test_all_are_killed_at_once_wherever_they_went(tmp_path: Path) -> None:
    """A child in a session of its own, which would note that its parent has died."""
    pids, note = tmp_path / "pids", tmp_path / "note"
    waiting = "import os, time; parent = os.getppid()\nwhile os.getppid() == parent: time.sleep(0.001)"
    child = f"{waiting}\nopen({str(note)!r}, 'w')"
    code = f"""
import subprocess, sys, os, time
child = subprocess.Popen([sys.executable, "-c", {child!r}], start_new_session=True)
open({str(pids)!r}, "w").write(f"{{child.pid}} {{os.getpid()}}\\n")
time.sleep(600)
"""
    with growing([sys.executable, "-c", code], os.environ, {CPU}, tmp_path / "it") as tree:
        wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), "both run")
        assert tree.peak_bytes() > 2e6
        assert not tree.ended(0)
        tree.kill()
        assert tree.ended(60)
        assert tree.reap() == -9
    for pid in pids.read_text().split():
        wait_until(lambda pid=int(pid): not is_alive(pid), f"{pid} ended")
    assert not note.exists()


def test_the_command_gives_a_table_and_figures(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    options = ["--quick", "--regime", "killed", "--only", "script-flush", "--count", "40", "--json", str(figures)]
    with running_process([sys.executable, "-m", "benchmarks", "batch", *options]) as bench:
        assert bench.wait(90) == 0
    assert "script-flush" in bench.stdout
    (regime,) = json.loads(figures.read_text())["regimes"]
    assert regime["rows"][0]["histories"][0]["kills"] >= 1


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    for options, line in (
        (["--only", "wget"], "wget: choose from fetch-batch"),
        (["--regime", "memory"], "memory: choose from rate"),
        (["--only", "journal", "--regime", "rate"], "none of these clients takes part in these regimes"),
        (["--count", "0"], "at least 1"),
        (["--regime", "cores", "--pages", str(tmp_path)], "no *.html below"),
    ):
        with running_process([sys.executable, "-m", "benchmarks", "batch", *options]) as bench:
            assert bench.wait() in (1, 2)
        assert line in bench.stderr
        assert "Traceback" not in bench.stderr
