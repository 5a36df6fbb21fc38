"""docs/howto/write-a-stage.md: its own commands, run as they stand, and its pieces of code, called."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from app.errors import UnknownStage
from app.stages.crossing import argument_of, call
from app.stages.registry import _NAMES, resolve
from app.stages.testing import make_page
from tests.support.ports import reserved_port
from tests.support.processes import ROOT, SCRIPT_GUARD_S, running_process

HOWTO = ROOT / "docs/howto/write-a-stage.md"
REFERENCE = ROOT / "docs/reference/stages.md"

_WAIT = "for _ in $(seq 600); do (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.1; done\n"


def _blocks(file: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}$(.*?)^```$", file.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(2 * SCRIPT_GUARD_S)
def test_the_commands(tmp_path: Path) -> None:
    with reserved_port() as port:
        script = "\n".join(_blocks(HOWTO, "sh")).replace("bin/test test_mymod.py", 'bin/test "$PWD/test_mymod.py"')
        script = script.replace(" 8080 ", f" {port} ").replace(" &\n", f" &\n{_WAIT.format(port=port)}", 1)
        script = script.replace("bin/", f"{ROOT}/bin/").replace("examples/site ", f"{ROOT}/examples/site ")
        script = script.replace("examples/site-urls.txt", "site-urls.txt")
        urls = (ROOT / "examples/site-urls.txt").read_text().replace(":8080", f":{port}")
        (tmp_path / "site-urls.txt").write_text(urls)
        with running_process(["bash", "-c", script + "\nkill %1\n"], cwd=tmp_path) as process:
            process.wait(timeout_s=SCRIPT_GUARD_S)
            out, said = process.stdout, process.stderr
    assert "{'tides': 2, 'words': 5}\n" in out, said
    records = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    assert [record["url"] for record in records] == urls.splitlines(), said
    assert max(record["stages"].get("score", {}).get("tides", 0) for record in records) > 5
    assert '"stages":{"score":{"tides":' in out
    assert "1 passed" in out


@pytest.fixture
def pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """All the code of the documents, as one module that is found by its name."""
    path = tmp_path / "pieces_of_howto.py"
    path.write_text("\n".join([*_blocks(HOWTO, "python"), *_blocks(REFERENCE, "python")]))
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.spec_from_file_location("pieces_of_howto", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pieces_of_howto", module)
    module.__dict__["stage"] = __import__("app.stages").stages.stage
    spec.loader.exec_module(module)
    return module


def test_the_pieces_of_code(pieces: ModuleType) -> None:
    assert pieces.density.takes_earlier
    assert pieces.density(make_page(), {"text": "high tide at noon"}) == 25.0
    assert pieces.pairs(make_page("a b a")) == 5
    (start,) = resolve(["pieces_of_howto:start=3"], import_paths=True)
    assert (start.name, start.value_of(make_page("abcdef"), {})) == ("start=3", "abc")
    (big_text,) = resolve(["pieces_of_howto:big_text"], import_paths=True)
    assert call(b"".join(argument_of(big_text, make_page("<p>so big"), {}))) == b'"so big"'
    with pytest.raises(UnknownStage, match="no stage"):
        resolve(["pieces_of_howto:start=3"])


def test_every_built_in_is_in_the_reference() -> None:
    table = REFERENCE.read_text().partition("| name |")[2].partition("\n\n")[0]
    described = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    assert sorted(described) == sorted(_NAMES)
    for name in described:
        (found,) = resolve([name])
        row = next(line for line in table.splitlines() if line.startswith(f"| `{name}`"))
        assert row.rsplit("|", 2)[1].split()[0].rstrip(",;") == found.runs_in
