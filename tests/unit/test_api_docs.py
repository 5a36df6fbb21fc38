"""The reference pages list exactly what the code has: no kind, field or status more or less."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

from app.api.body import MAX_CALL_BYTES
from app.api.problems import STATUS_AND_TITLE
from app.fetching import CurlAdapter, Session
from app.model.job import FetchOptions
from app.model.outcome import ErrorKind, Outcome
from app.model.request import Request

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table under `heading`, without its head; backticks taken off."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = re.search(r"(?:^\|.*\|$\n?)+", section, re.MULTILINE)
    assert lines, f"{page} has no table under {heading!r}"
    table = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[0].splitlines()]
    return table[2:]


def test_the_records_fields_are_listed_in_their_order() -> None:
    assert [row[0] for row in rows("record.md", "Fields")] == list(Outcome.__struct_fields__)


def test_every_error_kind_is_listed_once() -> None:
    assert [row[0] for row in rows("record.md", "Error kinds")] == [kind.value for kind in ErrorKind]


def test_every_problem_kind_is_listed_with_its_status() -> None:
    listed = [(row[0], int(row[1])) for row in rows("http.md", "Problems")]
    assert listed == [(kind.value, status) for kind, (status, _) in STATUS_AND_TITLE.items()]


def test_every_field_of_a_request_and_every_option_is_listed() -> None:
    assert [row[0] for row in rows("http.md", "A request object")] == list(Request.__struct_fields__)
    assert [row[0] for row in rows("http.md", "Options")] == list(FetchOptions.__struct_fields__)


def test_every_parameter_of_the_adapter_and_the_session_is_listed() -> None:
    adapter = inspect.signature(CurlAdapter).parameters
    heading = f"CurlAdapter({', '.join(_as_called(one) for one in adapter.values())})"
    assert [row[0] for row in rows("python.md", heading)] == list(adapter)
    text = (REFERENCE / "python.md").read_text(encoding="utf-8")
    listed = text.partition("\n## Session(...)\n")[2].partition("Its\n`User-Agent`")[0]
    for name in inspect.signature(Session).parameters:
        assert f"`{name}`" in listed, name


def _as_called(parameter: inspect.Parameter) -> str:
    default = parameter.default
    return f"{parameter.name}={json.dumps(default) if isinstance(default, str) else default}"


def test_the_page_knows_the_limit_of_a_body() -> None:
    assert f"{MAX_CALL_BYTES // 2**20} MiB" in (REFERENCE / "http.md").read_text(encoding="utf-8")
