"""Percore's `Session.fetch`, the engine's way to the network, a greenlet per fetch."""

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
        page = session.fetch(url, timeout_s=FETCH_TIMEOUT_S)
        return page.status_code, len(page.content)

    drive(task, fetch, versions_of("gevent", "pycurl", "requests"))


if __name__ == "__main__":
    main()
