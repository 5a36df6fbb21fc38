"""The service behind real nginx, with the project's own deploy/nginx.conf and a unix socket between them."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fetch_service import JSON, call, fetch, fetch_service, next_record, start_fetch
from tests.support.gunicorn_service import Service
from tests.support.nginx import Nginx, deployed_site, running_nginx, socket_folder
from tests.support.origin import Origin
from tests.support.processes import ROOT, wait_until


@dataclass(frozen=True)
class Site:
    """nginx, the service behind it, the unix socket between them."""

    nginx: Nginx
    service: Service
    socket: Path

    @contextlib.contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        """A connection to nginx."""
        assert isinstance(self.nginx.address, tuple)
        with contextlib.closing(http.client.HTTPConnection(*self.nginx.address, timeout=30)) as connection:
            connection.connect()
            yield connection

    def upstream_connections(self) -> int:
        """How many connections to the socket are established, from the kernel's table (state 03)."""
        lines = Path("/proc/net/unix").read_text().splitlines()
        fields = [line.split() for line in lines if line.endswith(f" {self.socket}")]
        return sum(field[5] == "03" for field in fields)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with socket_folder() as folder:
        socket = folder / "percore.sock"
        snippet = (ROOT / "deploy" / "nginx.conf").read_text()
        with (
            fetch_service(tmp_path_factory.mktemp("service"), BIND=f"unix:{socket}", WORKERS="2") as service,
            running_nginx(deployed_site(snippet, socket), tmp_path_factory.mktemp("nginx")) as nginx,
        ):
            yield Site(nginx, service, socket)


def test_the_first_outcome_is_there_before_the_slowest_request_has_ended(site: Site, origin: Origin) -> None:
    with site.connection() as connection:
        requests = [origin.url("/gate/slowest"), origin.url("/html/first")]
        start_fetch(connection, {"requests": requests, "stages": ["title"]})
        response = connection.getresponse()
        assert (response.status, response.getheader("Content-Type")) == (200, "application/x-ndjson")
        first = next_record(response)
        assert (first["index"], first["stages"]) == (1, {"title": "Page first of the origin"})
        origin.wait_waiting("slowest")
        origin.open("slowest")
        assert next_record(response)["index"] == 0
        assert response.read() == b""


def test_a_single_record_and_the_other_resources(site: Site, origin: Origin) -> None:
    with site.connection() as connection:
        [record] = fetch(connection, {"url": origin.url("/ok/12")})
        assert (record["ok"], record["bytes"]) == (True, 12)
        for path in ("/healthz", "/readyz", "/v1/stages"):
            assert call(connection, "GET", path)[0] == 200
            assert call(connection, "HEAD", path)[0] == 200


def test_problems_arrive_as_they_were_sent(site: Site) -> None:
    with site.connection() as connection:
        for method, path, body, status, kind in [
            ("POST", "/v1/fetch", b"{", 400, "malformed_json"),
            ("POST", "/v1/fetch", b"{}", 422, "invalid_call"),
            ("GET", "/v1/fetch", None, 405, "method_not_allowed"),
            ("GET", "/nowhere", None, 404, "not_found"),
        ]:
            answer, headers, raw = call(connection, method, path, body, JSON)
            assert (answer, headers["content-type"]) == (status, "application/problem+json")
            assert json.loads(raw)["kind"] == kind


def test_a_large_list_passes(site: Site, origin: Origin) -> None:
    # More than nginx's own default of 1 MB for a body.
    requests = [{"url": origin.url(f"/ok/10?n={n}"), "meta": "x" * 2000} for n in range(1000)]
    with site.connection() as connection:
        records = fetch(connection, {"requests": requests})
    assert sorted(record["index"] for record in records) == list(range(1000))
    assert all(record["ok"] for record in records)


def test_a_caller_that_leaves_nginx_ends_its_fetches(site: Site, origin: Origin) -> None:
    with site.connection() as connection:
        start_fetch(connection, {"requests": [origin.url("/gate/never")] * 3})
        origin.wait_waiting("never", 3)
    wait_until(lambda: origin.counts().in_flight == 0, "the fetches of the caller that left had ended")


def test_one_upstream_connection_serves_request_after_request(site: Site, origin: Origin) -> None:
    # One nginx worker that is asked for one thing at a time: what others left idle does, else it opens one.
    before = site.upstream_connections()
    for _ in range(20):
        with site.connection() as connection:
            fetch(connection, {"url": origin.url("/ok/1")})
            fetch(connection, {"requests": [origin.url("/ok/1")] * 2})
    after = site.upstream_connections()
    assert 1 <= after <= max(1, before)
    with site.connection() as connection:
        fetch(connection, {"url": origin.url("/ok/1")})
    assert site.upstream_connections() == after
