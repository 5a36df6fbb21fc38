"""Where descriptors are lacking, however few: a record says the same, whatever could not be opened for a connection,
and a batch that can't begin says so in one line.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.batch import COMMAND, run_batch
from tests.support.origin import running_origin
from tests.support.processes import HANG_GUARD_S, ROOT, running_process

# With one descriptor more each time, from none, until it is enough.
SCRIPT = """
    from gevent import monkey
    monkey.patch_all()
    import gc, itertools, json, os, resource, sys
    from app.errors import FetchError
    from app.fetching import Session
    from app.hub.per_hub import close_this_hub

    url, transport, way = sys.argv[1:]

    def fetch():
        with Session(transport=transport) as session:
            if way == "fetch":
                return session.fetch(url).status_code
            return session.get(url, stream=way == "stream").status_code

    fetch()  # all is imported
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for lacking in itertools.count():
        close_this_hub()
        gc.collect()
        # Not that which lists them.
        used = {int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}
        free = [number for number in range(max(used) + 20) if number not in used]
        resource.setrlimit(resource.RLIMIT_NOFILE, (free[lacking], hard))
        try:
            told = fetch()
        except FetchError as error:
            told = [error.kind, str(error), error.is_local]
        except Exception as error:
            told = [type(error).__name__, str(error)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        print(json.dumps(told), flush=True)
        if told == 200:
            break
"""

SAID = "no socket: Too many open files (raise `ulimit -n`, or lower --concurrency)"


@pytest.mark.parametrize(
    ("transport", "way", "kind", "steps"),
    [
        ("curl", "fetch", "connect_failed", 3),
        ("curl", "whole", "ConnectionError", 3),
        ("curl", "stream", "ConnectionError", 3),
        ("requests", "fetch", "connect_failed", 1),
    ],
)
def test_too_few_descriptors_for_a_connection(transport: str, way: str, kind: str, steps: int) -> None:
    with running_origin() as origin:
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT), origin.url("/ok"), transport, way]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=4 * HANG_GUARD_S)
    assert ended.returncode == 0, ended.stderr
    *refused, last = map(json.loads, ended.stdout.splitlines())
    # Nothing of it is the origin's doing.
    assert refused == [[kind, SAID, True] if way == "fetch" else [kind, SAID]] * len(refused)
    assert len(refused) >= steps, "what there is to open, each of it once"
    assert last == 200


@pytest.mark.parametrize("limit", range(6, 14))
def test_too_few_descriptors_to_begin_with(tmp_path: Path, limit: int) -> None:
    (tmp_path / "urls.txt").write_text("http://127.0.0.1:1/\n")
    batch = [*COMMAND, str(tmp_path / "urls.txt"), "-o", str(tmp_path / "out.jsonl"), "--workers", "1"]
    with running_process(["bash", "-c", f'ulimit -n {limit}; exec "$@"', "-", *batch]) as process:
        assert process.wait() == 3, process.stderr
    assert process.stderr.count("\n") == 1, process.stderr
    assert "Too many open files (raise `ulimit -n`, or lower --workers)" in process.stderr
    assert run_batch(*batch[len(COMMAND) :])[0] == 1, "it is none the worse for it"
