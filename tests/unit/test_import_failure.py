"""What is said of a stage that can't be imported: one line, and a place where the person who named it can mend it."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import UnknownStage
from app.stages.registry import resolve

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Put a module where it is found; what was imported from there is forgotten at the end."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(sys, "modules", sys.modules.copy())

    def put(name: str, source: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        return path

    return put


def said_of(reference: str) -> str:
    with pytest.raises(UnknownStage) as caught:
        resolve([reference], import_paths=True)
    said = str(caught.value)
    assert "importlib" not in said
    assert "\n" not in said
    return said


def test_no_such_module(write: Write, tmp_path: Path) -> None:
    said = said_of("ifail_none:score")
    told, _, places = said.partition("; it was looked for in ")
    assert told == "stage 'ifail_none:score' can't be imported: ModuleNotFoundError: No module named 'ifail_none'"
    folders = places.split(", ")
    assert folders[-1] == str(tmp_path)
    assert sysconfig.get_path("purelib") in folders
    assert not {sysconfig.get_path("stdlib"), os.path.dirname(os.__file__)} & set(folders), "nobody puts a stage there"
    assert not any(folder.endswith((".zip", "lib-dynload")) for folder in folders)


def test_no_such_module_in_a_package(write: Write, tmp_path: Path) -> None:
    write("ifail_package/__init__.py", "")
    assert said_of("ifail_package.none:score").endswith(
        f"No module named 'ifail_package.none'; it was looked for in {tmp_path / 'ifail_package'}"
    )


def test_a_module_that_is_no_package(write: Write) -> None:
    path = write("ifail_plain.py", "")
    assert said_of("ifail_plain.none:score").endswith(f"'ifail_plain' is not a package; it was looked for in {path}")


@pytest.mark.parametrize("reference", [":score", ".ifail:score"])
def test_what_names_no_module(write: Write, reference: str) -> None:
    assert not said_of(reference).endswith(")"), "there is no place"


@pytest.mark.parametrize(
    ("source", "what", "line"),
    [
        ("\n\nimport ifail_missing\n", "ModuleNotFoundError: No module named 'ifail_missing'", 3),
        ("\nimport importlib\nimportlib.import_module('ifail_missing')\n", "ModuleNotFoundError: ", 3),
        ("\nfrom json import nothing\n", "ImportError: cannot import name 'nothing'", 2),
        ("1 / 0\n", "ZeroDivisionError: division by zero", 1),
        ("import json\njson.loads('{')\n", "JSONDecodeError: ", 2),
        ("import requests\n\n\nrequests.Request('GET', '').prepare()\n", "MissingSchema: ", 4),
        ("\ndef score(page:\n    pass\n", "SyntaxError: '(' was never closed (", 2),
        ("\nimport ast\nast.parse('(')\n", "SyntaxError: '(' was never closed (", 3),
        ("\nraise SystemExit('no')\n", "SystemExit: no", 2),
        (
            "from app.stages import stage\n\n@stage(runs_in='moon')\ndef score(page): ...\n",
            "stage 'score': runs_in=",
            3,
        ),
    ],
)
def test_its_own_line_is_named(write: Write, source: str, what: str, line: int) -> None:
    path = write("ifail_broken.py", source)
    said = said_of("ifail_broken:score")
    assert f"stage 'ifail_broken:score' can't be imported: {what}" in said
    assert said.endswith(f" ({path}, line {line})")


def test_the_line_of_a_helper_is_named_that_can_not_be_imported(write: Write) -> None:
    helper = write("ifail_helper.py", "\n\n1 / 0\n")
    write("ifail_broken.py", "import ifail_helper\n")
    assert said_of("ifail_broken:score").endswith(f" ({helper}, line 3)")
