"""What the benchmark's clients are told, how they count, and that every one of them exists."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import islice

import pytest

from benchmarks.clients.protocol import Meter, Task, peak_rss_bytes
from benchmarks.common.building import ROOT
from benchmarks.common.contestant import Home, environment_of
from benchmarks.fetch.contestants import CONTESTANTS, REFERENCE
from benchmarks.fetch.regimes import REGIMES, quick


def task(urls: int, concurrency: int = 3) -> Task:
    names = tuple(f"http://127.1.0.{number}/" for number in range(urls))
    return Task(names, 10, concurrency, warm_up_s=0, duration_s=0, http2=False, ca_bundle="")


def first(task: Task, worker: int, count: int) -> list[str]:
    return [url.removeprefix("http://127.1.0.").rstrip("/") for url in islice(task.urls_of(worker), count)]


def test_workers_go_round_urls_of_their_own() -> None:
    assert first(task(7), 0, 4) == ["0", "3", "6", "0"]
    assert first(task(7), 2, 3) == ["2", "5", "2"]


def test_more_workers_than_urls_share_them() -> None:
    assert first(task(2), 2, 3) == ["0", "1", "0"]


def test_origins_are_counted() -> None:
    assert task(4).origins == 4


def test_an_answer_counts_only_if_it_is_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    code = """
from benchmarks.clients.protocol import Meter, Task
meter = Meter(Task(("http://x/",), 10, 2, 0, 0, False, ""))
meter.answered(0, 200, 10)
meter.answered(0, 505, 10)
meter.begin()
meter.answered(0, 200, 10)
meter.answered(1, 200, 10)
meter.answered(1, 200, 9)
meter.failed(1, OSError("gone"))
meter.finish({"it": "1"})
"""
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for part in ('"fetches": 2,', '"errors": 3,', '"body_bytes": 20,', '"versions": {"it": "1"}'):
        assert part in said
    assert '"first_error": "status 505 with 10 bytes instead of 200 with 10"' in said


def test_peak_memory_is_that_of_this_program() -> None:
    assert 5e6 < peak_rss_bytes() < 5e9
    assert peak_rss_bytes(2**31 - 1) == 0


def test_every_regime_names_clients_that_exist() -> None:
    for regime in REGIMES:
        assert set(regime.clients) <= CONTESTANTS.keys()
        assert len(set(regime.clients)) == len(regime.clients)
        assert REFERENCE in regime.clients
    assert {name for regime in REGIMES for name in regime.clients} == CONTESTANTS.keys()


def test_every_client_is_there() -> None:
    for contestant in CONTESTANTS.values():
        program = ROOT / "benchmarks" / "clients" / contestant.program
        assert (program / "main.go" if contestant.home is Home.GO else program.with_suffix(".py")).is_file()


def test_clients_see_none_of_the_user_s_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    unwanted = (
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "https_proxy",
        "HTTP_PROXY",
        "PERCORE_PIN",
        "PYTHONPROFILEIMPORTTIME",
        "SHELL_OF_MINE",
    )
    for name in unwanted:
        monkeypatch.setenv(name, "x")
    for contestant in CONTESTANTS.values():
        environment = environment_of(contestant)
        assert not environment.keys() & set(unwanted)
        assert environment["PATH"]
        assert environment.get("GOMAXPROCS") == ("1" if contestant.home is Home.GO else None)


def test_a_smoke_run_is_the_same_but_shorter() -> None:
    for regime in REGIMES:
        short = quick(regime)
        assert (short.name, short.origin, short.clients) == (regime.name, regime.origin, regime.clients)
        assert short.duration_s < regime.duration_s
        assert short.concurrency <= regime.concurrency


def test_a_meter_has_a_place_for_every_worker() -> None:
    with pytest.raises(IndexError):
        Meter(task(1, concurrency=2)).answered(2, 200, 10)


def test_the_peers_lock_holds_what_is_asked_for_by_hash() -> None:
    folder = ROOT / "benchmarks" / "peers"
    lock = (folder / "requirements.lock").read_text()
    wanted = re.findall(r"^[a-z0-9]+", (folder / "requirements.in").read_text(), re.MULTILINE)
    lines = [
        line for line in lock.replace("\\\n", " ").splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    assert wanted
    assert set(wanted) <= {line.partition("==")[0] for line in lines}
    assert all("--hash=sha256:" in line for line in lines)
    assert "://" not in lock
