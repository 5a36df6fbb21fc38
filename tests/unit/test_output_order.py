from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from app.sinks.outputs import OutputSpec, parse_outputs
from tests.unit.test_work_folder import fetch, manifest, publish
from workers.manifest import Manifest
from workers.output_order import in_order
from workers.receipt import receipt_path
from workers.work_folder import WorkFolder

NAMES = ("a.jsonl", "b.jsonl.gz", "c/")


def specs_of(folder: Path, *names: str) -> list[OutputSpec]:
    return parse_outputs([f"{folder}/{name}" for name in names])


def job_of(specs: list[OutputSpec]) -> Manifest:
    return manifest(outputs=[specs[0].kind, *(spec.whole_name for spec in specs[1:])])


def begin(specs: list[OutputSpec]) -> WorkFolder:
    folder = WorkFolder(specs)
    assert folder.begin(job_of(specs)) is None
    return folder


@pytest.mark.parametrize("is_finished", [False, True])
@pytest.mark.parametrize("begun", [("a.jsonl", "b.jsonl.gz", "c/"), ("c/", "b.jsonl.gz", "a.jsonl")], ids=" ".join)
def test_whoever_names_the_same_set_gets_the_jobs_order(
    tmp_path: Path, begun: tuple[str, ...], is_finished: bool
) -> None:
    specs = specs_of(tmp_path, *begun)
    folder = begin(specs)
    if is_finished:
        fetch(folder, failed=False)
        publish_as(folder, job_of(specs))
    folder.release()
    for names in itertools.permutations(NAMES):
        assert in_order(specs_of(tmp_path, *names)) == specs
    again = in_order(specs_of(tmp_path, *reversed(begun)))
    receipt = WorkFolder(again).begin(job_of(again))
    assert (receipt is not None) == is_finished, "it is gone on with, or known to be finished"


def publish_as(folder: WorkFolder, job: Manifest) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.unit.test_work_folder.manifest", lambda: job)
        publish(folder)


def test_where_there_is_nothing_the_commands_order_counts(tmp_path: Path) -> None:
    for names in itertools.permutations(NAMES):
        specs = specs_of(tmp_path, *names)
        assert in_order(specs) == specs


def test_an_unfinished_job_comes_before_a_finished_one(tmp_path: Path) -> None:
    both = specs_of(tmp_path, "a.jsonl", "b.jsonl.gz")
    folder = begin(both)
    fetch(folder, failed=False)
    publish_as(folder, job_of(both))
    for spec in both:
        spec.path.unlink()
    folder = begin(both[::-1])
    folder.release()
    assert in_order(both) == both[::-1]
    assert receipt_path(both[0].path).exists()


@pytest.mark.parametrize("names", [("b.jsonl.gz",), ("b.jsonl.gz", "c/"), ("c/", "b.jsonl.gz", "a.jsonl")])
def test_another_set_is_another_job(tmp_path: Path, names: tuple[str, ...]) -> None:
    begin(specs_of(tmp_path, "a.jsonl", "b.jsonl.gz")).release()
    specs = specs_of(tmp_path, *names)
    assert in_order(specs) == specs


@pytest.mark.parametrize("content", [b"", b"{}", b'{"outputs": 5}', b'{"outputs": []}', b"\xff"])
def test_a_manifest_that_can_not_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    both = specs_of(tmp_path, "a.jsonl", "b.jsonl.gz")
    begin(both).release()
    (tmp_path / "a.jsonl.percore" / "manifest.json").write_bytes(content)
    (tmp_path / "b.jsonl.gz.percore.json").write_bytes(content)
    assert in_order(both[::-1]) == both[::-1]
