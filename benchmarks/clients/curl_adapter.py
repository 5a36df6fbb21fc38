"""A stock `requests.Session` with Percore's `CurlAdapter` mounted, a greenlet per fetch."""

from gevent import monkey

monkey.patch_all()

import requests  # noqa: E402 - after patching

from app.fetching import CurlAdapter  # noqa: E402
from benchmarks.clients.on_gevent import drive  # noqa: E402
from benchmarks.clients.protocol import FETCH_TIMEOUT_S, parse_task, versions_of  # noqa: E402


def main() -> None:
    """One session for all greenlets."""
    task = parse_task()
    session = requests.Session()
    adapter = CurlAdapter()
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.verify = task.ca_bundle or True

    def fetch(url: str) -> tuple[int, int]:
        response = session.get(url, timeout=FETCH_TIMEOUT_S)
        return response.status_code, len(response.content)

    drive(task, fetch, versions_of("gevent", "pycurl", "requests"))


if __name__ == "__main__":
    main()
