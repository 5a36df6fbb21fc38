"""fetch-batch on a part of its list, or on none: --limit, --sample, --dry-run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.batch import records, run_batch, running_batch, write_list
from tests.support.failing_list import write_failing_list
from tests.support.origin import Origin


@pytest.fixture
def source(origin: Origin, tmp_path: Path) -> Path:
    return write_failing_list(tmp_path / "urls.txt", origin)


def test_limit_reads_the_first_lines(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", ["# a list", *(origin.url(f"/ok/{n}") for n in range(50))])
    assert run_batch(source, "-o", tmp_path / "out.jsonl", "--limit", "11")[0] == 0
    assert [record["index"] for record in records(tmp_path / "out.jsonl")] == list(range(1, 11))
    status, said = run_batch(source, "-o", tmp_path / "out.jsonl", "--limit", "12")
    assert (status, "of another limit" in said) == (2, True)


@pytest.mark.parametrize("sample", ["7", "10%", "0.2"])
def test_a_sample_is_the_same_for_everybody(origin: Origin, tmp_path: Path, sample: str) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url(f"/ok/{n}") for n in range(300)])
    drawn = {}
    for name, more in {"a": [], "b": ["--workers", "1"], "other": ["--seed", "1"]}.items():
        assert run_batch(source, "-o", tmp_path / f"{name}.jsonl", "--sample", sample, *more)[0] == 0
        drawn[name] = [(record["index"], record["bytes"]) for record in records(tmp_path / f"{name}.jsonl")]
    assert drawn["a"] == drawn["b"] != drawn["other"]
    assert all(index == size for index, size in drawn["a"]), "the others keep their index"
    assert 0 < len(drawn["a"]) < 100
    if sample == "7":
        assert len(drawn["a"]) == len(drawn["other"]) == 7


@pytest.mark.parametrize("sample", ["0", "1.5", "-3", "x", "200%", "nan"])
def test_what_is_no_sample(sample: str, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [])
    status, said = run_batch(source, "-o", tmp_path / "out.jsonl", "--sample", sample)
    assert (status, "write a share" in said) == (2, True), said


def test_a_dry_run_fetches_and_writes_nothing(origin: Origin, tmp_path: Path) -> None:
    lines = [*(origin.url(f"/ok/{n}") for n in range(40)), "# note", "", "ftp://a/", "nonsense", "http://a.example/"]
    source = write_list(tmp_path / "urls.txt", lines)
    with running_batch(source, "-o", tmp_path / "out.jsonl", "--dry-run") as process:
        assert process.wait() == 0
        said = process.stdout
    assert said.splitlines() == [
        "45 lines: 41 requests, 2 that can't be fetched; 22 shards of up to 2 lines",
        "  unsupported_scheme  1",
        "  invalid_request  1",
        "2 origins, the largest:",
        f"  {origin.base}  40",
        "  http://a.example:80  1",
        "nothing was fetched",
    ]
    assert origin.counts().total == 0
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--stage", "no_such"], "no stage 'no_such'; there are sha256, title"),
        (["--stage", "title=x"], "title"),
        (["--stage", "title", "--stage", "title"], "stage 'title' is named twice"),
        (["--stage", "missing:stage"], "missing"),
        (["--stage", "broken:stage"], "stage 'broken:stage' can't be imported: ZeroDivisionError: division by zero"),
        (["--stage", "broken:stage", "--retry-failed"], "stage 'broken:stage' can't be imported"),
        (["--stage", "deadly:stage"], "a worker was ended by signal 9 before it began, while it loaded the stages"),
        (["--stage", "leaving:stage"], "a worker ended with status 7 before it began, while it loaded the stages"),
    ],
)
def test_a_dry_run_finds_stages_that_no_child_can_load(
    origin: Origin, arguments: list[str], why: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "deadly.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    (tmp_path / "leaving.py").write_text("import os\nos._exit(7)\n")
    write_list(tmp_path / "urls.txt", [origin.url("/ok")])
    before = sorted(tmp_path.iterdir())
    status, said = run_batch("urls.txt", "-o", "out.jsonl", "--dry-run", *arguments, cwd=tmp_path)
    assert (status, why in said) == (2, True), said
    assert "Traceback" not in said
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "__pycache__"] == before
    assert origin.counts().total == 0


def test_a_dry_run_says_nothing_of_stages_that_a_child_can_load(tmp_path: Path) -> None:
    # Which print, and what these need, are in the child.
    (tmp_path / "good.py").write_text("import os\nprint('loaded by', os.getpid())\ndef stage(page): return 1\n")
    write_list(tmp_path / "urls.txt", ["http://a.example/"])
    arguments = ["urls.txt", "-o", "out.jsonl", "--dry-run", "--stage", "title", "--stage", "good:stage"]
    with running_batch(*arguments, cwd=tmp_path) as process:
        assert process.wait() == 0, process.stderr
        assert process.stdout.splitlines()[-1] == "nothing was fetched"
        assert f"loaded by {process.pid}" not in process.stderr
        assert process.stderr.startswith("loaded by ")


def test_a_list_of_comments_only(tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", ["# nothing"] * 100)
    status, _ = run_batch(source, "-o", f"{tmp_path}/out/", "--shard-size", "10")
    assert (status, list((tmp_path / "out").iterdir())) == (0, [])
    assert run_batch(source, "-o", f"{tmp_path}/out/", "--shard-size", "10")[0] == 0
