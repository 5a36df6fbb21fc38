from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import OutputError
from app.model.outcome import ErrorKind, Failure, Outcome
from app.sinks.jsonl import JsonlPart, count_kinds


def outcome(index: int, kind: ErrorKind | None = None) -> Outcome:
    error = Failure(kind, "line one") if kind else None
    return Outcome(index=index, url=f"http://a/{index}", ok=error is None, error=error, stages={"s": "é\n" * index})


def indexes(path: Path) -> list[int]:
    return [json.loads(line)["index"] for line in path.read_text("utf-8").splitlines()]


def test_records_finish_in_input_order(tmp_path: Path) -> None:
    part = JsonlPart(tmp_path / "part")
    for index in (5, 3, 4):
        part.append([outcome(index, ErrorKind.TIMEOUT if index == 4 else None)])
    assert indexes(tmp_path / "part") == [5, 3, 4]
    assert part.done == {3, 4, 5}
    assert part.kinds == {"ok": 2, "timeout": 1}
    part.finish(tmp_path / "final")
    assert indexes(tmp_path / "final") == [3, 4, 5]
    assert [path.name for path in tmp_path.iterdir()] == ["final"]
    assert count_kinds(tmp_path / "final") == {"ok": 2, "timeout": 1}


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 10_000), order=st.permutations(range(6)))
def test_a_part_that_was_cut_anywhere_is_taken_up(
    tmp_path_factory: pytest.TempPathFactory, cut: int, order: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("part")
    first = JsonlPart(folder / "part")
    for index in order:
        first.append([outcome(index)])
    first.close()
    whole = (folder / "part").read_bytes()
    (folder / "part").write_bytes(whole[: cut % (len(whole) + 1)])
    lines = whole[: cut % (len(whole) + 1)].count(b"\n")

    second = JsonlPart(folder / "part")
    assert second.done == set(order[:lines])
    assert second.kinds.total() == lines
    for index in set(order) - second.done:
        second.append([outcome(index)])
    second.finish(folder / "final")
    assert (folder / "final").read_bytes() == b"".join(sorted(whole.splitlines(keepends=True)))


@pytest.mark.parametrize("rubbish", [b"\0" * 40, b'{"index":"x"}\n', b"[1]\n", b'{"index":3,"error":null', b"\xff\n"])
def test_rubbish_after_whole_lines_is_cut_off(tmp_path: Path, rubbish: bytes) -> None:
    part = JsonlPart(tmp_path / "part")
    part.append([outcome(1)])
    part.close()
    whole = (tmp_path / "part").read_bytes()
    (tmp_path / "part").write_bytes(whole + rubbish)
    assert JsonlPart(tmp_path / "part").done == {1}
    assert (tmp_path / "part").read_bytes() == whole


def test_what_cannot_be_opened_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        JsonlPart(tmp_path / "missing" / "part")


def test_what_has_no_records_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "numbers").write_text("1\n2\n")
    assert count_kinds(tmp_path / "numbers") is None
    with pytest.raises(OutputError, match="can't read"):
        count_kinds(tmp_path)
