from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import UnknownStage
from app.stages import registry
from app.stages.registry import names, resolve
from app.stages.testing import make_page

Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package on sys.path that offers the entry points."""
    monkeypatch.setattr(registry, "_FOUND", {})

    def put(package: str, points: str, source: str) -> None:
        folder = tmp_path / package
        information = folder / f"{package}-1.0.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[percore.stages]\n{points}\n")
        (folder / f"{package}_stages.py").write_text(source)
        monkeypatch.syspath_prepend(folder)

    return put


_SOURCE = """
from app.stages import stage

def plain(page):
    return 1

@stage("inner", runs_in="process")
def decorated(page):
    return 2
"""


def test_plug_ins_are_found_listed_and_recorded_by_their_names(install: Install) -> None:
    install("onepack", "one-plain = onepack_stages:plain\none-decorated = onepack_stages:decorated", _SOURCE)
    assert names()[-2:] == ["one-decorated", "one-plain"]
    plain, decorated = resolve(["one-plain", "one-decorated"])
    assert (plain.name, plain.value_of(make_page(), {})) == ("one-plain", 1)
    assert (decorated.name, decorated.reference) == ("one-decorated", "onepack_stages:decorated")
    assert resolve(["one-decorated"])[0] is decorated, "found once, kept"


@pytest.mark.parametrize(
    ("name", "other"), [("title", "Percore itself"), ("scored", r"firstpack \(firstpack_stages:plain\)")]
)
def test_two_of_one_name_are_an_error(install: Install, name: str, other: str) -> None:
    install("firstpack", "scored = firstpack_stages:plain", _SOURCE)
    install("secondpack", f"{name} = secondpack_stages:plain", _SOURCE)
    assert names().count(name) == 1
    with pytest.raises(UnknownStage, match=f"'{name}' is offered by .*secondpack.*; uninstall one") as caught:
        resolve([name])
    assert ("Percore itself" in str(caught.value)) is (name == "title")
    assert caught.match(other)


def test_the_same_package_twice_on_the_path_is_no_clash(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("twicepack", "twice = twicepack_stages:plain", _SOURCE)
    monkeypatch.syspath_prepend(sys.path[0])
    assert resolve(["twice"])[0].name == "twice"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nothing_of_that_name", r"can't be imported: ModuleNotFoundError: .*brokenpack_stages\.py, line 1\)"),
        ("raise SystemExit(3)", "can't be imported: SystemExit: 3"),
        ("", r"has no attribute 'plain' \(brokenpack \(brokenpack_stages:plain\)\)"),
        ("plain = 5", "leads to a int, not to a function"),
        ("async def plain(page): pass", "plain is an `async def`"),
        (
            "from app.stages import stage\n\n@stage(runs_in='moon')\ndef plain(page): pass",
            r"can't be imported: stage 'plain': runs_in='moon' is none of .*brokenpack_stages\.py, line 3\)",
        ),
        (
            "from app.stages import stage\nplain = stage('x', runs_in='process')(lambda page: 1)",
            r"not as a lambda or inside a function \(.*brokenpack_stages\.py, line 2\)",
        ),
    ],
)
def test_plug_ins_that_are_broken(install: Install, source: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "brokenpack_stages", raising=False)
    install("brokenpack", "broken = brokenpack_stages:plain", source)
    for _ in range(2):
        with pytest.raises(UnknownStage, match=message):
            resolve(["broken"])


_HEAVY = ("PIL", "resiliparse", "jmespath", "selectolax")


@pytest.mark.parametrize(
    ("asked", "loaded"),
    [
        ([], set()),
        (["sha256"], set()),
        (["title"], {"selectolax"}),
        (["json"], {"jmespath"}),
        (["image"], {"PIL"}),
        (["simhash"], {"resiliparse", "selectolax"}),
    ],
)
def test_libraries_are_imported_for_who_asks(asked: list[str], loaded: set[str]) -> None:
    program = (
        "import sys\nfrom app.stages.registry import names, resolve\nnames()\n"
        f"resolve({asked!r})\nprint(*(name for name in {_HEAVY!r} if name in sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert set(said.split()) == loaded
