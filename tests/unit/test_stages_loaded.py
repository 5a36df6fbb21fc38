"""What stages were imported from, as a process notes it, and as another one is held to it."""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from app.files.sources import in_words, now
from app.stages.sources import Loaded, Sameness
from tests.support.processes import ROOT

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Put a module where it is found; what was imported from there is forgotten at the end."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path), str(tmp_path / "lib/python3.11/site-packages")])
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def put(name: str, source: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(source)
        importlib.invalidate_caches()
        return path

    return put


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_lies_beside_the_module_and_was_imported(write: Write) -> None:
    write("lib/python3.11/site-packages/aninstalled.py", "")
    write("notimported.py", "")
    files = [
        write("mine_st.py", "import json, requests, aninstalled, mine_helper\nfrom mine_pack.deep import inner\n"),
        write("mine_helper.py", "import mine_other\n"),
        write("mine_other.py", ""),
        write("mine_pack/__init__.py", ""),
        write("mine_pack/deep/inner.py", ""),
    ]
    importlib.import_module("mine_st")
    loaded = Loaded()
    loaded.note("mine_st")
    assert loaded.sources == {str(path): digest(path) for path in files}


@pytest.mark.parametrize("package", ["apack", "aspace"])
def test_of_a_package_too(write: Write, package: str) -> None:
    write("apack/__init__.py", "")
    files = {write(f"{package}/stages.py", f"from {package} import helper"), write(f"{package}/helper.py", "")}
    if package == "apack":
        files.add(write("apack/__init__.py", "import apack.helper"))
    importlib.import_module(f"{package}.stages")
    loaded = Loaded()
    loaded.note(f"{package}.stages")
    assert set(loaded.sources) == set(map(str, files))


def test_what_is_percores_own_has_a_version(write: Write) -> None:
    """Also for who works in its folder, as these tests do."""
    loaded = Loaded()
    loaded.note("tests.support.stages")
    assert str(ROOT / "tests" / "__init__.py") in loaded.sources
    assert not [path for path in loaded.sources if path.startswith((f"{ROOT}/app/", f"{ROOT}/workers/"))]


def test_what_is_imported_later_is_noted_then_and_the_first_version_counts(write: Write) -> None:
    first, later = write("mine_first.py", "a = 1"), write("mine_later.py", "a = 1")
    importlib.import_module("mine_first")
    loaded = Loaded()
    loaded.note("mine_first")
    before = digest(first)
    write("mine_first.py", "a = 2")
    importlib.import_module("mine_later")
    assert loaded.look_again() == {str(first): before, str(later): digest(later)}
    loaded.note("mine_first")
    assert loaded.sources[str(first)] == before


def test_another_process_is_held_to_what_it_has_imported(write: Write) -> None:
    one, two = write("mine_one.py", "a = 1"), write("mine_two.py", "a = 1")
    theirs = msgspec.msgpack.encode({str(one): digest(one), str(two): digest(two)})
    sameness = Sameness()
    importlib.import_module("mine_one")
    assert sameness.edited(theirs) is None
    write("mine_one.py", "a = 2")  # what it has is the same all the same
    write("mine_two.py", "a = 2")
    assert sameness.edited(theirs) is None
    importlib.import_module("mine_two")
    assert sameness.edited(theirs) == str(two)
    assert sameness.edited(theirs) == str(two)


def test_a_package_that_registers_a_stage(tmp_path: Path) -> None:
    """In a process of its own, which has not looked for packages yet."""
    information = tmp_path / "scorer-1.0.dist-info"
    information.mkdir()
    (information / "entry_points.txt").write_text("[percore.stages]\nscore = scorer:score\n")
    (tmp_path / "scorer.py").write_text("import scorer_helper\ndef score(page): pass\n")
    (tmp_path / "scorer_helper.py").touch()
    script = """
        import json
        import msgspec
        from app.files.sources import edited, now
        from app.stages.registry import resolve
        from app.stages.sources import LOADED, Sameness
        resolve(["title", "score"])
        sources = dict(LOADED.sources)
        print(json.dumps([sources, now(sources) == sources, Sameness().edited(LOADED.packed)]))
        sources["score"] = "scorer 0.9"
        print(json.dumps([edited(sources, now(sources)), Sameness().edited(msgspec.msgpack.encode(sources))]))
    """
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: scorer\nVersion: 1.0\n")
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env={"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    )
    files = {str(path): digest(path) for path in sorted(tmp_path.glob("*.py"))}
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == [files | {"score": "scorer 1.0"}, True, None]
    assert second == ["score", "score"]


def test_in_words() -> None:
    assert in_words("/a/b.py") == "/a/b.py (imported by a stage)"
    assert in_words("a.b:c") == "stage 'a.b:c'"
    assert in_words("score") == "the package of stage 'score'"
    assert now(["/no/such/file", "a.b:c", "nobody-has-this"]) == {}
