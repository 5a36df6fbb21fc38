"""requests, its own transport, a thread per fetch."""

from __future__ import annotations

import threading
import time

from benchmarks.clients.protocol import FETCH_TIMEOUT_S, PAUSE_AFTER_ERROR_S, Meter, parse_task, versions_of
from benchmarks.clients.requests_session import session_for


def main() -> None:
    """One session for all threads."""
    task = parse_task()
    session = session_for(task)
    meter = Meter(task)

    def work(worker: int) -> None:
        for url in task.urls_of(worker):
            try:
                response = session.get(url, timeout=FETCH_TIMEOUT_S)
                status, size_bytes = response.status_code, len(response.content)
            except Exception as error:
                meter.failed(worker, error)
                time.sleep(PAUSE_AFTER_ERROR_S)
            else:
                meter.answered(worker, status, size_bytes)

    for worker in range(task.concurrency):
        threading.Thread(target=work, args=(worker,), daemon=True).start()
    time.sleep(task.warm_up_s)
    meter.begin()
    time.sleep(task.duration_s)
    meter.finish(versions_of("requests", "urllib3"))


if __name__ == "__main__":
    main()
