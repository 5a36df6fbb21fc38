"""Percore's `Session.get`: requests' own verb and semantics on Percore's session, a greenlet per fetch."""

from gevent import monkey

monkey.patch_all()

from app.fetching import Session  # noqa: E402 - after patching
from benchmarks.clients.on_gevent import drive  # noqa: E402
from benchmarks.clients.protocol import FETCH_TIMEOUT_S, parse_task, versions_of  # noqa: E402


def main() -> None:
    """One session for all greenlets."""
    task = parse_task()
    session = Session(origins=max(100, task.origins), per_origin=task.concurrency, ca_bundle=task.ca_bundle)

    def fetch(url: str) -> tuple[int, int]:
        response = session.get(url, timeout=FETCH_TIMEOUT_S)
        return response.status_code, len(response.content)

    drive(task, fetch, versions_of("gevent", "pycurl", "requests"))


if __name__ == "__main__":
    main()
