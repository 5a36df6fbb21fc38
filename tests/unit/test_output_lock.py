"""Two jobs that have an output in common are kept apart, whatever each calls it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import OutputError, UsageError
from app.sinks.outputs import parse_outputs
from tests.unit.test_work_folder import fetch, manifest, publish
from workers.work_folder import WorkFolder


@pytest.fixture(autouse=True)
def in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.chdir(tmp_path)
    Path("real").mkdir()
    Path("real/link.jsonl").symlink_to("b.jsonl")
    Path("alias").symlink_to("real")


def folder_of(*names: str) -> WorkFolder:
    return WorkFolder(parse_outputs(names))


def refusal(folder: WorkFolder, **how: bool) -> str:
    with pytest.raises(UsageError) as refused:
        folder.begin(manifest(), **how)
    return str(refused.value)


@pytest.mark.parametrize(
    ("ours", "theirs", "common"),
    [
        (["a.jsonl", "b.jsonl"], ["c.jsonl", "b.jsonl"], "b.jsonl"),
        (["a.jsonl", "b.jsonl"], ["b.jsonl"], "b.jsonl"),
        (["b.jsonl"], ["a.jsonl", "b.jsonl"], "b.jsonl"),
        (["a.jsonl", "b.jsonl"], ["b.jsonl", "a.jsonl"], "a.jsonl"),
        (["a.jsonl", "b/"], ["c.jsonl", "b/"], "b"),
        (["a.jsonl", "real/b.jsonl"], ["alias/b.jsonl"], "alias/b.jsonl"),
        (["real/b.jsonl"], ["c.jsonl", "alias/b.jsonl"], "alias/b.jsonl"),
        (["a.jsonl", "real/b.jsonl"], ["real/link.jsonl"], "{}/real/b.jsonl"),
        (["alias/link.jsonl"], ["c.jsonl", "{}/real/b.jsonl"], "{}/real/b.jsonl"),
        (["real/../a.jsonl"], ["a.jsonl"], "a.jsonl"),
    ],
)
def test_who_comes_second_is_told_who_was_first(
    ours: list[str], theirs: list[str], common: str, tmp_path: Path
) -> None:
    first = folder_of(*(name.format(tmp_path) for name in ours))
    first.begin(manifest())
    before = sorted(tmp_path.rglob("*"))
    second = folder_of(*(name.format(tmp_path) for name in theirs))
    said = refusal(second)
    assert said.startswith(f"another fetch-batch (process {os.getpid()})")
    assert said.endswith(f" is writing {common.format(tmp_path)}")
    assert sorted(tmp_path.rglob("*")) == before, "it has left nothing behind, and taken nothing away"
    first.release()
    assert second.begin(manifest(), fresh=True) is None, "once that has ended"


def test_it_is_told_what_the_other_is_about(tmp_path: Path) -> None:
    first = folder_of("a.jsonl", "b.jsonl")
    first.begin(manifest())
    whose = f"(process {os.getpid()}), whose first output is {tmp_path}/a.jsonl, is writing b.jsonl"
    assert whose in refusal(folder_of("b.jsonl"))
    assert "whose first output" not in refusal(folder_of("a.jsonl"))


def test_a_run_that_has_ended_leaves_no_lock() -> None:
    folder = folder_of("a.jsonl", "b.jsonl", "c/")
    folder.begin(manifest())
    assert Path("b.jsonl.percore/lock").exists()
    fetch(folder, failed=True)
    publish(folder)
    names = ["a.jsonl", "a.jsonl.percore.json", "alias", "b.jsonl", "c", "real"]
    assert sorted(os.listdir()) == names
    # As if it had been killed before it could take these away.
    Path("b.jsonl.percore").mkdir()
    Path("b.jsonl.percore/lock").touch()
    assert folder_of("a.jsonl", "b.jsonl", "c/").begin(manifest()) is not None
    assert sorted(os.listdir()) == names


def test_what_is_interrupted_keeps_its_work_only() -> None:
    folder = folder_of("a.jsonl", "b.jsonl")
    folder.begin(manifest())
    folder.release()
    assert sorted(os.listdir()) == ["a.jsonl.percore", "alias", "real"]
    assert folder_of("a.jsonl", "b.jsonl").begin(manifest()) is None


def test_the_unfinished_run_of_another_job_is_not_made_worthless() -> None:
    interrupted = folder_of("b.jsonl")
    interrupted.begin(manifest())
    fetch(interrupted, failed=True)
    interrupted.release()
    assert "b.jsonl.percore/ holds an unfinished run of another job" in refusal(folder_of("a.jsonl", "b.jsonl"))
    assert not Path("a.jsonl.percore").exists()
    again = folder_of("b.jsonl")
    again.begin(manifest())
    assert fetch(again, failed=True) == set()
    again.release()
    assert folder_of("a.jsonl", "b.jsonl").begin(manifest(), fresh=True) is None
    assert os.listdir("b.jsonl.percore") == ["lock"]


def test_a_finished_run_that_is_not_settled_survives_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of("a.jsonl", "b.jsonl")
    folder.begin(manifest())
    fetch(folder, failed=True)
    with monkeypatch.context() as killed:
        # Before the receipt has its name.
        killed.setattr("os.replace", _killed_at(lambda path: str(path).endswith("/receipt.json")))
        with pytest.raises(KeyboardInterrupt):
            publish(folder)
    del folder
    other = folder_of("b.jsonl", "c.jsonl")
    # It has it locked, and is killed without a trace of its own.
    other._locks[0].take()
    assert "another fetch-batch" in refusal(folder_of("a.jsonl", "b.jsonl"))
    other._locks[0].release()
    assert folder_of("a.jsonl", "b.jsonl").begin(manifest()) is not None, "it is known to be finished"
    assert not Path("a.jsonl.percore").exists()


def _killed_at(is_it: Callable[[object], bool]) -> Callable[[object, object], None]:
    replace = os.replace

    def or_killed(source: object, target: object) -> None:
        if is_it(source):
            raise KeyboardInterrupt
        replace(source, target)  # type: ignore[arg-type]

    return or_killed


def test_a_link_is_the_output_that_it_leads_to(tmp_path: Path) -> None:
    def run(name: str) -> object:
        folder = folder_of(name)
        receipt = folder.begin(manifest())
        if receipt is None:
            fetch(folder, failed=True)
            publish(folder)
        return receipt

    assert run("real/link.jsonl") is None
    assert Path("real/link.jsonl").is_symlink()
    assert sorted(os.listdir("real")) == ["b.jsonl", "b.jsonl.percore.json", "link.jsonl"]
    assert run("alias/b.jsonl") is not None
    assert run("alias/link.jsonl") is not None
    Path("loop.jsonl").symlink_to("loop.jsonl")
    with pytest.raises(UsageError, match="leads back to itself"):
        parse_outputs(["loop.jsonl"])
    Path("nowhere.jsonl").symlink_to("missing/x.jsonl")
    with pytest.raises(UsageError, match=f"there is no folder {tmp_path}/missing"):
        parse_outputs(["nowhere.jsonl"])


def test_a_work_folder_is_no_output() -> None:
    with pytest.raises(UsageError, match="those of work folders"):
        parse_outputs(["a.jsonl.percore/"])


def test_a_refused_begin_gives_the_space_back(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of("a.jsonl")
    folder.begin(manifest())
    fetch(folder, failed=True)
    publish(folder, timeout=1, http_status=1)
    monkeypatch.setattr("workers.work_folder.drop_failed", _full)
    with pytest.raises(OutputError, match=r"can't write a.jsonl: No space left"):
        folder_of("a.jsonl").begin(manifest(), retry=frozenset({"timeout"}))
    assert not Path("a.jsonl.percore").exists()
    shutil.rmtree("real")


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device", "x")
