"""fetch-batch as a command: where its list comes from, what it makes of its output, what it refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.batch import records, run_batch, running_batch, write_list
from tests.support.origin import Origin
from tests.support.processes import ROOT


def test_standard_input(origin: Origin, tmp_path: Path) -> None:
    with running_batch("-", "-o", tmp_path / "out.jsonl", stdin=subprocess.PIPE) as process:
        process.stdin.write(f"{origin.url('/ok/1')}\n\n# note\n{origin.url('/ok/2')}".encode())
        process.stdin.close()
        assert process.wait() == 0
    assert [(record["index"], record["bytes"]) for record in records(tmp_path / "out.jsonl")] == [(0, 1), (3, 2)]


def test_standard_input_from_a_file(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url(f"/ok/{n}") for n in range(50)])
    with source.open() as file, running_batch("-", "-o", tmp_path / "out.jsonl", stdin=file.fileno()) as process:
        assert process.wait() == 0
    assert [record["bytes"] for record in records(tmp_path / "out.jsonl")] == list(range(50))


def test_csv(origin: Origin, tmp_path: Path) -> None:
    source = write_list(
        tmp_path / "in.csv", ["name,Link", f"a,{origin.url('/ok/1')}", "b,", f"c,{origin.url('/ok/3')}"]
    )
    status, _ = run_batch(source, "-o", tmp_path / "out.jsonl", "--url-column", "Link")
    assert status == 1
    got = records(tmp_path / "out.jsonl")
    assert [(record["ok"], record.get("meta")) for record in got] == [
        (True, {"name": "a"}), (False, {"name": "b"}), (True, {"name": "c"}),
    ]  # fmt: skip


def test_an_empty_list_is_an_empty_output(tmp_path: Path) -> None:
    status, said = run_batch(write_list(tmp_path / "urls.txt", ["# nothing"]), "-o", tmp_path / "out.jsonl")
    assert (status, (tmp_path / "out.jsonl").read_text()) == (0, "")
    assert "0 records" in said


def test_a_folder_of_shards(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url(f"/ok/{n}") for n in range(70)])
    status, _ = run_batch(source, "-o", f"{tmp_path}/out/", "--shard-size", "10")
    assert status == 0
    files = sorted((tmp_path / "out").iterdir())
    assert [record["bytes"] for file in files for record in records(file)] == list(range(70))
    assert not (tmp_path / "out.percore").exists()


def test_progress_for_machines(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/gate/held")])
    with running_batch(source, "-o", tmp_path / "out.jsonl", "--progress", "json") as process:
        line = json.loads(process.wait_for_line('"in_flight":1'))
        origin.open("held")
        assert process.wait() == 0
    assert (line["done"], line["total"]) == (0, 1)


UNUSABLE = {
    "no input": (["missing.txt", "-o", "out.jsonl"], "can't read missing.txt: No such file"),
    "a folder as input": ([".", "-o", "out.jsonl", "--format", "txt"], "can't read .: it is a folder"),
    "an unknown format": (["urls", "-o", "out.jsonl"], "can't tell the format of 'urls'"),
    "an unknown stage": (
        ["urls.txt", "-o", "out.jsonl", "--stage", "nonsense"],
        "no stage 'nonsense'; there are sha256",
    ),
    "a stage that can't be imported": (["urls.txt", "-o", "out.jsonl", "--stage", "nowhere:x"], "can't be imported"),
    "an unknown option": (["urls.txt", "-o", "out.jsonl", "--nonsense"], "No such option"),
    "a bad number": (["urls.txt", "-o", "out.jsonl", "--retries", "-1"], "expected a whole number >= 0"),
    "a bad choice": (["urls.txt", "-o", "out.jsonl", "--pin", "perhaps"], "expected `auto`, `on` or `off`"),
    "a bad header": (["urls.txt", "-o", "out.jsonl", "--header", "nocolon"], "NAME:VALUE"),
    "no output": (["urls.txt"], "Missing option '-o'"),
    "no place for the output": (["urls.txt", "-o", "no/such/out.jsonl"], "there is no folder no/such"),
    "a CSV without URLs": (["in.csv", "-o", "out.jsonl"], "no column 'url'"),
    "an output that exists": (["urls.txt", "-o", "there.jsonl"], "never overwritten"),
    "the input as output": (["there.jsonl", "-o", "there.jsonl", "--fresh"], "is the input"),
    "a folder of other things": (["urls.txt", "-o", "precious/", "--fresh"], "holds other things than shards"),
    "a folder without a slash": (["urls.txt", "-o", "precious.jsonl", "--fresh"], "is a folder"),
    "an output of no known kind": (["urls.txt", "-o", "out.html"], "the name must end in .jsonl"),
    "no name": (["urls.txt", "-o", "."], "is no name for an output"),
    "standard output": (["urls.txt", "-o", "-"], "can't go to standard output"),
    "a URL as input": (["http://127.0.0.1/", "-o", "out.jsonl"], "not a URL"),
    "a stage that ends the process": (["urls.txt", "-o", "out.jsonl", "--stage", "leaves:x"], "SystemExit: 4"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_can_be_mended_is_said_before_anything_is_fetched(origin: Origin, case: str, tmp_path: Path) -> None:
    arguments, message = UNUSABLE[case]
    write_list(tmp_path / "urls.txt", [origin.url("/ok")])
    write_list(tmp_path / "urls", [origin.url("/ok")])
    write_list(tmp_path / "in.csv", ["address", origin.url("/ok")])
    write_list(tmp_path / "there.jsonl", ["precious"])
    write_list(tmp_path / "leaves.py", ["import sys", "sys.exit(4)"])
    (tmp_path / "precious").mkdir()
    write_list(tmp_path / "precious" / "thesis.txt", ["years"])
    (tmp_path / "precious.jsonl").mkdir()
    before = sorted(tmp_path.rglob("*"))
    status, said = run_batch(*arguments, cwd=tmp_path)
    assert origin.counts().total == 0
    assert status == 2
    assert message in said
    assert said.count("\n") == 1
    assert said.startswith("fetch-batch: ")
    after = [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in path.parts]
    assert after == before, "nothing is left behind, and nothing is gone"
    assert (tmp_path / "there.jsonl").read_text() == "precious\n"


def test_a_bad_variable_is_named(tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [])
    status, said = run_batch(source, "-o", tmp_path / "out.jsonl", PERCORE_CONCURRENCY="none")
    assert (status, said) == (2, "fetch-batch: PERCORE_CONCURRENCY='none': expected a whole number\n")


def test_fresh_replaces_an_output(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok")])
    write_list(tmp_path / "out.jsonl", ["old"])
    assert run_batch(source, "-o", tmp_path / "out.jsonl", "--fresh")[0] == 0
    assert len(records(tmp_path / "out.jsonl")) == 1


def test_help_names_every_option() -> None:
    with running_batch("--help") as process:
        assert process.wait() == 0
        for option in ("--stage", "--workers", "--per-origin", "--drain-timeout", "--fresh"):
            assert option in process.stdout
    assert (ROOT / "bin/fetch-batch").exists()
