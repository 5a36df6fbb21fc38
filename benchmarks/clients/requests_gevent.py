"""requests, its own transport, on a patched standard library, a greenlet per fetch."""

from gevent import monkey

monkey.patch_all()

from benchmarks.clients.on_gevent import drive  # noqa: E402 - after patching
from benchmarks.clients.protocol import FETCH_TIMEOUT_S, parse_task, versions_of  # noqa: E402
from benchmarks.clients.requests_session import session_for  # noqa: E402


def main() -> None:
    """One session for all greenlets."""
    task = parse_task()
    session = session_for(task)

    def fetch(url: str) -> tuple[int, int]:
        response = session.get(url, timeout=FETCH_TIMEOUT_S)
        return response.status_code, len(response.content)

    drive(task, fetch, versions_of("requests", "urllib3", "gevent"))


if __name__ == "__main__":
    main()
