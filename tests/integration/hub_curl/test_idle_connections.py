"""How many idle connections a hub keeps."""

from __future__ import annotations

import requests

from app.fetching import CurlAdapter
from app.hub.per_hub import close_this_hub
from tests.support.origin import running_origin
from tests.support.processes import wait_until


def test_no_more_than_it_may() -> None:
    hosts = [f"127.0.0.{number}" for number in range(2, 8)]
    session = requests.Session()
    session.mount("http://", CurlAdapter(max_idle_connections=2))
    with running_origin("0.0.0.0") as origin:
        try:
            for host in hosts:
                assert session.get(f"http://{host}:{origin.port}/ok").status_code == 200
            wait_until(lambda: origin.counts().connections_open <= 2, "the others are closed")
            assert origin.counts().connections_open == 2
            # Those that are left are the last ones.
            for host in hosts[-2:]:
                assert session.get(f"http://{host}:{origin.port}/ok").status_code == 200
            assert origin.counts().connections == len(hosts)
        finally:
            close_this_hub()
