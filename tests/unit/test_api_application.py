"""The application's routes and errors, called in this process: what needs no network."""

from __future__ import annotations

import json
import logging
from typing import Any

import falcon
import msgspec
import pytest
from falcon import testing

from app.api.application import Application
from app.api.fetch import encode_record
from app.api.problems import STATUS_AND_TITLE, Problem, ProblemKind
from app.api.stages import StagesResource
from app.assembly import build_application
from app.model.outcome import Outcome
from app.settings import Settings
from app.stages import registry


@pytest.fixture
def application() -> Application:
    return build_application(Settings())


@pytest.fixture
def client(application: Application) -> testing.TestClient:
    return testing.TestClient(application)


def test_draining_is_told_by_readyz_alone(application: Application, client: testing.TestClient) -> None:
    assert not application.draining
    assert client.simulate_get("/readyz").status_code == 200
    application.drain()
    application.drain()
    assert application.draining
    answer = client.simulate_get("/readyz")
    assert (answer.status_code, answer.json["kind"]) == (503, "draining")
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.simulate_get("/healthz").status_code == 200


class Broken:
    """A resource with a defect, and one that raises Falcon's own errors."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.data = b"half an answer"
        raise RuntimeError("the secret inside")

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        raise falcon.HTTPServiceUnavailable(title="a secret", retry_after=7)

    def on_put(self, request: falcon.Request, response: falcon.Response) -> None:
        raise falcon.HTTPInvalidHeader("not like this", "Range")


def test_a_defect_is_logged_whole_and_told_without_internals(
    application: Application, client: testing.TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    application.add_route("/broken", Broken())
    with caplog.at_level(logging.ERROR, "percore.api"):
        answer = client.simulate_get("/broken")
    assert (answer.status_code, answer.json["kind"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "half" not in answer.text
    assert "RuntimeError: the secret inside" in caplog.text


def test_the_frameworks_own_errors_have_the_same_shape(application: Application, client: testing.TestClient) -> None:
    application.add_route("/broken", Broken())
    for answer, status, kind in (
        (client.simulate_post("/broken"), 503, "internal_error"),
        (client.simulate_put("/broken"), 400, "bad_request"),
        (client.simulate_get("/nowhere"), 404, "not_found"),
        (client.simulate_delete("/broken"), 405, "method_not_allowed"),
    ):
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json["status"], answer.json["kind"]) == (status, status, kind)
        assert sorted(answer.json) == ["detail", "kind", "status", "title", "type"]
    assert client.simulate_post("/broken").headers["retry-after"] == "7"


def test_every_kind_has_a_status_and_a_title() -> None:
    assert set(STATUS_AND_TITLE) == set(ProblemKind)
    for kind in ProblemKind:
        assert 400 <= Problem(kind, "x").status_code < 600


def test_what_cannot_be_encoded_costs_its_own_record_only(caplog: pytest.LogCaptureFixture) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in (object(), deep, "\ud800"):
        good = Outcome(index=3, id="mine", url="http://a/", ok=True, status=200, attempts=1)
        record = json.loads(encode_record(msgspec.structs.replace(good, meta=value)))
        assert (record["index"], record["id"], record["status"]) == (3, "mine", 200)
        assert (record["ok"], record["error"]["kind"]) == (False, "internal_error")
    assert len(caplog.records) == 3


class _BrokenPlugIn:
    name = value = "broken"
    dist = None

    def load(self) -> None:
        raise ImportError("no such thing")


def test_a_plug_in_that_cannot_be_imported_is_left_out_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.entry_points
    monkeypatch.setattr(registry, "entry_points", lambda **select: [*real(**select), _BrokenPlugIn()])
    assert "broken" in registry.names()
    app: Any = falcon.App()
    app.add_route("/stages", StagesResource())
    listed = [item["name"] for item in testing.TestClient(app).simulate_get("/stages").json]
    assert "title" in listed
    assert "broken" not in listed
