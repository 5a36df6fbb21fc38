from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from app.errors import UsageError
from app.files.sources import edited
from tests.support.processes import ROOT
from workers.stage_sources import check_sources, stage_sources


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user would stand, with modules that must not be imported."""
    for name in ("mystages.py", "mypackage/__init__.py", "mypackage/inner/__init__.py", "mypackage/inner/stages.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(f"raise SystemExit({name!r})\n")
    (tmp_path / "aspace").mkdir()
    (tmp_path / "aspace" / "within.py").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_is_the_file_of_the_module_which_is_not_imported(folder: Path) -> None:
    wanted = [
        "title",
        "json=a:b",
        "mystages:f",
        "mystages:f=3",
        "mypackage:g",
        "mypackage.inner.stages:h",
        "aspace.within:i",
    ]
    assert stage_sources(wanted) == {
        "mystages:f": digest(folder / "mystages.py"),
        "mypackage:g": digest(folder / "mypackage" / "__init__.py"),
        "mypackage.inner.stages:h": digest(folder / "mypackage" / "inner" / "stages.py"),
        "aspace.within:i": digest(folder / "aspace" / "within.py"),
    }
    assert not {"mystages", "mypackage"} & sys.modules.keys()


def test_the_current_folder_comes_last(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a child, so that nothing there takes the place of a module of ours."""
    installed = tmp_path_factory.mktemp("installed")
    (installed / "mystages.py").write_text("f = len\n")
    monkeypatch.syspath_prepend(installed)
    (folder / "workers.py").write_text("f = len\n")
    assert stage_sources(["mystages:f"]) == {"mystages:f": digest(installed / "mystages.py")}
    assert stage_sources(["workers:f"]) == {"workers:f": digest(ROOT / "workers" / "__init__.py")}


@pytest.mark.parametrize(
    "stage", ["nowhere:f", "mystages.deeper:f", "aspace:f", ":f", "..:f", "sys:exit", "a b:f", "=:f"]
)
def test_what_has_no_file_is_left_to_the_children(folder: Path, stage: str) -> None:
    assert stage_sources([stage]) == {}


def test_only_what_was_looked_at_both_times_can_be_another() -> None:
    assert edited({"a:f": "1", "b:f": "2"}, {"a:f": "1", "c:f": "3"}) is None
    assert edited({"a:f": "1"}, {"a:f": "2"}) == "a:f"


def test_what_a_stage_imports_is_named(folder: Path) -> None:
    path = folder / "helper.py"
    path.write_text("a = 1\n")
    sources = stage_sources(["mystages:f"]) | {str(path): digest(path), "nobody-has-this": "pack 1.0"}
    check_sources(sources)
    path.write_text("a = 2\n")
    with pytest.raises(UsageError, match=rf"^{path} \(imported by a stage\) was edited while the run was under way"):
        check_sources(sources)
    path.unlink()
    check_sources(sources)


def test_an_edited_stage_is_named(folder: Path) -> None:
    sources = stage_sources(["mystages:f", "mypackage:g"])
    check_sources(sources)
    (folder / "mypackage" / "__init__.py").write_text("g = len\n")
    with pytest.raises(UsageError, match="stage 'mypackage:g' was edited"):
        check_sources(sources)
