"""What people write by hand: requests in a ThreadPoolExecutor, lines appended to a file, those there left out.

`flush` after the other arguments: each line is flushed, as the careful do. A line that can't be read is passed over, as
one learns to do after the first crash.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter

_TIMEOUT_S = 60


def main() -> None:
    urls, folder, concurrency = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    flushes = "flush" in sys.argv[4:]
    output = folder / "out.jsonl"
    done = _done(output)
    # A session is not said to be safe among threads: each has its own.
    local = threading.local()

    def fetch(url: str) -> dict[str, str]:
        if not hasattr(local, "session"):
            local.session = requests.Session()
            local.session.trust_env = False
            local.session.mount("http://", HTTPAdapter(pool_maxsize=1))
        response = local.session.get(url, timeout=_TIMEOUT_S)
        response.raise_for_status()
        return {"url": url, "sha256": hashlib.sha256(response.content).hexdigest()}

    with ThreadPoolExecutor(concurrency) as pool, output.open("a") as out:
        wanted = [url for url in urls.read_text().split() if url not in done]
        for future in as_completed([pool.submit(fetch, url) for url in wanted]):
            out.write(json.dumps(future.result()) + "\n")
            if flushes:
                out.flush()


def _done(output: Path) -> set[str]:
    found = set()
    if output.exists():
        with output.open() as lines:
            for line in lines:
                try:
                    found.add(json.loads(line)["url"])
                except ValueError:
                    continue
    return found


if __name__ == "__main__":
    main()
