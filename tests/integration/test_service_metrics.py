"""GET /metrics on the real service: of all its workers, whichever answers, and nothing falls when one ends."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.families import FAMILIES, Sample
from app.telemetry.shared import SharedMetrics
from app.telemetry.sums import added_up
from tests.support.fetch_service import call, fetch, fetch_service
from tests.support.gunicorn_service import Service
from tests.support.origin import Origin, running_origin
from tests.support.processes import wait_until

HELD = """
import time
from app.stages import stage

@stage("held", preempt=False)
def held(page):
    began = time.thread_time()
    while time.thread_time() - began < 0.03:
        pass
    return 1
"""


def metrics(service: Service) -> dict[tuple[str, ...], float]:
    """By name and values of the labels. A connection of its own: any worker may answer."""
    with service.connection() as connection:
        status, headers, text = call(connection, "GET", "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {
        (one.name, *(one.labels[label] for label in FAMILIES[one.name].labels)): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def fetch_some(service: Service, origin: Origin, count: int) -> None:
    with service.connection() as connection:
        body = {"requests": [origin.url(f"/ok/{number}") for number in range(count)], "stages": ["sha256"]}
        assert len(fetch(connection, body)) == count


def folders() -> set[Path]:
    places = {Path("/dev/shm"), Path(tempfile.gettempdir())}
    return {path for place in places for path in place.glob(f"percore-metrics-{os.getuid()}-*")}


def test_all_workers_are_added_up_and_nothing_falls(tmp_path: Path) -> None:
    with running_origin() as origin, fetch_service(tmp_path, WORKERS="2", PER_ORIGIN="100") as service:
        [folder] = [path for path in folders() if path.name.endswith(f"-{service.running.pid}")]
        wait_until(lambda: metrics(service)["percore_workers",] == 2, "both workers have said something")
        for _ in range(8):
            fetch_some(service, origin, 5)
        # A worker tells the others once a second; itself it knows at once.
        found = wait_until(
            lambda: (found := metrics(service)).get(("percore_records_total", "ok")) == 40 and found, "all are counted"
        )
        assert found["percore_stage_runs_total", "sha256", "worker"] == 40
        assert found["percore_answers_total", "HTTP/1.1"] == 40
        assert found["percore_transfers_started_total",] == 40
        assert found["percore_fetches_in_flight",] == found["percore_fetches_waiting",] == 0
        assert "percore_stage_advice" not in {name for name, *_ in found}
        # What a worker has told the others is not lost with it.
        reader = SharedMetrics(folder, 0)
        told = Sample("percore_records_total", 40, ("ok",))
        wait_until(lambda: told in added_up(reader.others()), "both have told all of it")
        killed = service.worker_pids()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(service.worker_pids()) == 2 and not service.worker_pids() & killed, "both were replaced")
        found = wait_until(lambda: (found := metrics(service))["percore_workers",] == 2 and found, "they speak")
        assert found["percore_records_total", "ok"] == 40
        assert folder.exists()
    assert not folder.exists()


def test_a_worker_that_drains_tells_what_it_did_last(tmp_path: Path) -> None:
    with running_origin() as origin, fetch_service(tmp_path, WORKERS="1") as service:
        [worker] = service.worker_pids()
        fetch_some(service, origin, 3)
        os.kill(worker, signal.SIGTERM)
        wait_until(lambda: service.worker_pids() and worker not in service.worker_pids(), "it was replaced")
        assert metrics(service)["percore_records_total", "ok"] == 3


def test_advice_is_a_metric(tmp_path: Path) -> None:
    (tmp_path / "plug").mkdir()
    (tmp_path / "plug" / "holding.py").write_text(HELD)
    info = tmp_path / "plug" / "holding-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: holding\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[percore.stages]\nheld = holding:held\n")
    with (
        running_origin() as origin,
        fetch_service(tmp_path, plug_ins=tmp_path / "plug", PER_ORIGIN="100") as service,
        service.connection() as connection,
    ):
        body = {"requests": [origin.url(f"/ok/{number}") for number in range(50)], "stages": ["held", "sha256"]}
        records = fetch(connection, body)
        assert all(record["ok"] for record in records), records[0]
        found = metrics(service)
        assert found["percore_stage_advice", "held", "worker", "preempt"] == 1
        assert found["percore_stage_held_seconds", "held"] >= 0.03
        assert {place for place in found if place[0] == "percore_stage_advice"} == {
            ("percore_stage_advice", "held", "worker", "preempt")
        }


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_one_worker_alone_speaks_for_itself(tmp_path: Path, method: str) -> None:
    with fetch_service(tmp_path) as service, service.connection() as connection:
        status, headers, _ = call(connection, method, "/metrics")
        assert (status, headers["cache-control"]) == (200, "no-store")
        assert metrics(service)["percore_workers",] == 1
