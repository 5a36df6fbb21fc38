"""The README's tour: its own commands, run as they stand."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.needs import require_program
from tests.support.ports import reserved_port
from tests.support.processes import ROOT, SCRIPT_GUARD_S, running_process


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    with ExitStack() as stack:
        yield stack.enter_context(reserved_port()), stack.enter_context(reserved_port())


def tour() -> str:
    """The commands of the README's tour, in one script."""
    section = re.search(r"^## Tour$(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert section is not None
    return "\n".join(re.findall(r"^```sh$(.*?)^```$", section.group(1), re.MULTILINE | re.DOTALL))


@pytest.mark.timeout(2 * SCRIPT_GUARD_S)
def test_the_tour(tmp_path: Path, ports: tuple[int, int]) -> None:
    require_program("curl", how="apt install curl")
    site, service = ports
    # The same tour, in a folder of its own and on ports that nobody else uses.
    script = (
        tour()
        .replace(":8080", f":{site}")
        .replace(" 8080 ", f" {site} ")
        .replace(":8000", f":{service}")
        .replace("=8080 ", f"={site} ")
    )
    script = script.replace("bin/", f"{ROOT}/bin/")
    (tmp_path / "examples").mkdir()
    shutil.copytree(ROOT / "examples/site", tmp_path / "examples/site")
    urls = (ROOT / "examples/site-urls.txt").read_text().replace(":8080", f":{site}")
    (tmp_path / "examples/site-urls.txt").write_text(urls)
    # The site is up before it is fetched: a person is slower than a script.
    script = script.replace(" &\n", f" &\n{WAIT.format(port=site)}", 1)
    environment = os.environ | {"PERCORE_BIND": f"127.0.0.1:{service}"}
    with running_process(["bash", "-c", script + "\nkill %1 %2\n"], cwd=tmp_path, env=environment) as process:
        process.wait(timeout_s=SCRIPT_GUARD_S)
        out, said = process.stdout, process.stderr
    lines = len(urls.splitlines())
    tides = [json.loads(line) for line in (tmp_path / "tides.jsonl").read_text().splitlines()]
    assert [record["url"] for record in tides] == urls.splitlines(), said
    assert [record["status"] for record in tides].count(404) == 1
    assert all(set(record["stages"]) == {"title", "sha256"} for record in tides if record["ok"])
    words = [json.loads(line) for line in (tmp_path / "words.jsonl").read_text().splitlines()]
    assert sum(record["stages"].get("words", 0) > 5 for record in words) >= lines - 2
    assert "[200, 200]" in out, "of the session with a CurlAdapter"
    assert '{"status":"ready"}' in out
    assert '"stages":{"title":"Skerrow Haven' in out
    assert out.count('"stages":{"sha256":"') == 2, "of the stream's three records one failed"
    assert '"kind":"address_denied"' in out


WAIT = "curl --silent --retry 100 --retry-connrefused --retry-delay 1 http://127.0.0.1:{port}/ >/dev/null\n"
