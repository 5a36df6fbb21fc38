"""Stages in the service: a plug-in's in all three places, by POST /v1/fetch; and what its log advises."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import falcon
import falcon.testing
import pytest

from app.api.fetch import FetchResource
from app.assembly import build_engine
from app.fetching.page import Page
from app.hub.per_hub import close_this_hub
from app.settings import Settings
from app.stages import registry, stage
from tests.support.fetch_service import call, fetch, fetch_service
from tests.support.origin import Origin

PLUG_IN = """
import ctypes
import os
from app.stages import stage

@stage
def inside(page):
    return [len(page.content), os.getpid()]

@stage(runs_in="thread")
def beside(page, earlier):
    return [earlier["inside"][0] + 1, os.getpid()]

@stage(runs_in="process")
def apart(page, earlier):
    if "crash" in page.url:
        ctypes.string_at(0)
    return [earlier["beside"][0] + 1, os.getpid()]

@stage(cpu_budget_s=0.05)
def spin(page):
    while True:
        pass
"""

NAMES = ("inside", "beside", "apart", "spin")


@pytest.fixture
def plug_ins(tmp_path: Path) -> Path:
    (tmp_path / "placed_plug_in.py").write_text(PLUG_IN)
    about = tmp_path / "placed_plug_in-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: placed-plug-in\nVersion: 1\n")
    points = "".join(f"{name} = placed_plug_in:{name}\n" for name in NAMES)
    (about / "entry_points.txt").write_text(f"[percore.stages]\n{points}")
    return tmp_path


def test_stages_in_all_places(origin: Origin, plug_ins: Path, tmp_path: Path) -> None:
    with fetch_service(tmp_path, plug_ins=plug_ins) as service, service.connection() as connection:
        assert set(NAMES) <= {one["name"] for one in json.loads(call(connection, "GET", "/v1/stages")[2])}
        urls = [origin.url(path) for path in ("/ok/10", "/ok/11?crash", "/ok/12")]
        found = fetch(connection, {"requests": urls, "stages": ["inside", "beside", "apart"]})
        found.sort(key=lambda record: record["index"])
        assert [record["stages"]["inside"][0] for record in found] == [10, 11, 12]
        assert [record["stages"]["beside"][0] for record in found] == [11, 12, 13]
        assert [record["stages"].get("apart", [None])[0] for record in found] == [12, None, 14]
        assert found[1]["error"]["message"] == "the isolated process that ran apart died by SIGSEGV"
        [record] = fetch(connection, {"url": urls[0], "stages": ["spin"]})
        assert (record["error"]["kind"], record["error"]["stage"]) == ("stage_timeout", "spin")
        [worker] = {record["stages"]["inside"][1] for record in found}
        assert worker == found[0]["stages"]["beside"][1] != found[0]["stages"]["apart"][1]


@stage
def holds(page: Page) -> int:
    return sum(range(200_000))


def test_the_log_advises_once(
    origin: Origin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What `watch` calls every few seconds is called by hand here."""
    monkeypatch.setitem(registry._FOUND, "holds", holds)
    close_this_hub()
    settings = Settings(slice_ms=0.1)
    resource = FetchResource(build_engine(settings), settings, lambda outcome: None)
    service: falcon.App[falcon.Request, falcon.Response] = falcon.App()
    service.add_route("/v1/fetch", resource)
    client = falcon.testing.TestClient(service)
    for _ in range(2):
        urls = [origin.url(f"/ok?{n}") for n in range(60)]
        answer = client.simulate_post("/v1/fetch", json={"requests": urls, "stages": ["holds", "sha256"]})
        assert len(answer.text.splitlines()) == 60
        assert resource._advisor._timer is not None
        resource._advisor.look()
    close_this_hub()
    said = [record for record in caplog.records if record.name == "percore.engine"]
    assert [record.levelno for record in said] == [logging.WARNING]
    assert said[0].getMessage().startswith("stage 'holds' held the hub ")
