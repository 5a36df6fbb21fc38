"""One service for a module's tests."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from tests.support.fetch_service import fetch_service
from tests.support.gunicorn_service import Service

MAX_REQUESTS = 300


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with fetch_service(folder, MAX_REQUESTS=str(MAX_REQUESTS), TIMEOUT_S="600", PER_ORIGIN="100") as service:
        yield service


@pytest.fixture
def connection(service: Service) -> Iterator[http.client.HTTPConnection]:
    with service.connection() as connection:
        yield connection
