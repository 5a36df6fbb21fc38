"""The same command once more, and what goes on with an earlier one: finished, failed, interrupted, changed."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.batch import children_of, records, run_batch, running_batch, write_list
from tests.support.failing_list import ONCE, write_failing_list
from tests.support.origin import Origin
from tests.support.ports import refused_port
from tests.support.processes import wait_until


@pytest.fixture
def source(origin: Origin, tmp_path: Path) -> Path:
    return write_failing_list(tmp_path / "urls.txt", origin)


def test_a_finished_job_fetches_nothing(origin: Origin, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    assert run_batch(source, "-o", output, *ONCE)[0] == 1
    whole, asked = output.read_bytes(), origin.counts().total
    status, said = run_batch(source, "-o", output, *ONCE)
    assert status == 0
    assert said.startswith(f"fetch-batch: nothing to do: {output} is finished")
    assert "40 records: 32 ok, 8 failed" in said
    assert said.count("\n") == 1
    # What does not decide the records may differ.
    assert run_batch(source, "-o", output, *ONCE, "--concurrency", "7")[0] == 0
    assert origin.counts().total == asked
    assert output.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.jsonl.percore.json", "urls.txt"]


def test_another_command_is_told_what_to_do(origin: Origin, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    run_batch(source, "-o", output, *ONCE)
    asked, whole = origin.counts().total, output.read_bytes()
    status, said = run_batch(source, "-o", output, *ONCE, "--stage", "title")
    assert status == 2
    assert "from another job (of another stages); --fresh replaces it" in said
    with source.open("a") as file:
        file.write(f"{origin.url('/ok')}\n")
    status, said = run_batch(source, "-o", output, *ONCE)
    assert status == 2
    assert "of another input, or of this one before it was changed" in said
    assert (origin.counts().total, output.read_bytes()) == (asked, whole)
    assert run_batch(source, "-o", output, *ONCE, "--fresh")[0] == 1
    assert len(records(output)) == 41


def test_a_stopped_fresh_run_goes_on_without_the_word(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok/1"), origin.url("/gate/held")])
    output = write_list(tmp_path / "out.jsonl", ["old"])
    with running_batch(source, "-o", output, "--fresh", "--drain-timeout", "0") as process:
        origin.wait_waiting("held")
        process.signal(signal.SIGINT)
        assert process.wait() == 130
        assert "--fresh" not in process.stderr.partition("this goes on: ")[2]
    assert output.read_text() == "old\n"
    origin.open("held")
    assert run_batch(source, "-o", output, "--drain-timeout", "0")[0] == 0
    assert len(records(output)) == 2
    assert origin.counts().requests["/ok/1"] == 1


def test_standard_input_is_never_known_again(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok")])
    output = tmp_path / "out.jsonl"
    for status, words in ((0, "written to"), (2, "standard input can't be read again")):
        with source.open() as file, running_batch("-", "-o", output, stdin=file.fileno()) as process:
            assert process.wait() == status
            assert words in process.stderr
    assert origin.counts().total == 1


def test_a_summary_for_machines(origin: Origin, source: Path, tmp_path: Path) -> None:
    output, summary = tmp_path / "out.jsonl", tmp_path / "summary.json"
    run_batch(source, "-o", output, *ONCE, "--stage", "sha256", "--summary", summary)
    told = json.loads(summary.read_bytes())
    assert told == json.loads((tmp_path / "out.jsonl.percore.json").read_bytes())["summary"]
    assert (told["state"], told["records"], told["ok"], told["failed"]) == ("finished", 40, 32, 8)
    assert told["kinds"] == {"http_status": 8}
    assert (told["fetched"], told["resumed"], told["workers"]) == (40, 0, 1)
    assert [(use["origin"], use["fetches"]) for use in told["slowest_origins"]] == [(origin.base, 40)]
    assert [(use["name"], use["runs"]) for use in told["stages"]] == [("sha256", 32)]
    assert 0 < told["parent_peak_bytes"] < told["child_peak_bytes"]


def test_no_origin_is_told_with_what_is_secret_in_a_url(origin: Origin, tmp_path: Path) -> None:
    with refused_port() as port:
        unreachable = f"http://127.0.0.1:{port}"
        secret = [origin.url(f"/ok/{n}").replace("//", f"//user:s3cret{n}@") for n in range(4)]
        source = write_list(tmp_path / "urls.txt", [*secret, *(f"{unreachable}?token=s3cret{n}" for n in range(4))])
        arguments = [source, "-o", tmp_path / "out.jsonl", "--summary", tmp_path / "summary", "--retries", "0"]
        status, stderr = run_batch(*arguments, "--workers", "1")
    assert status == 1, stderr
    told = json.loads((tmp_path / "summary").read_bytes())["slowest_origins"]
    assert {(use["origin"], use["fetches"]) for use in told} == {(origin.base, 4), (unreachable, 4)}
    assert "most time went to:" in stderr
    assert "s3cret" not in stderr


def test_a_summary_of_a_run_that_was_stopped(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/gate/held")])
    arguments = [source, "-o", tmp_path / "out.jsonl", "--summary", tmp_path / "s.json", "--drain-timeout", "0"]
    with running_batch(*arguments, "--workers", "1") as process:
        origin.wait_waiting("held")
        (child,) = children_of(process.pid)
        os.kill(child, signal.SIGKILL)
        process.wait_for_line("another takes its place")
        origin.wait_waiting("held", n=1)
        process.signal(signal.SIGTERM)
        assert process.wait() == 130
    told = json.loads((tmp_path / "s.json").read_bytes())
    assert (told["state"], told["records"], told["worker_deaths"]) == ("interrupted", 0, 1)


def test_two_jobs_with_an_output_in_common_are_kept_apart(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/gate/held")])
    (tmp_path / "alias").symlink_to(tmp_path)
    with running_batch(source, "-o", "a.jsonl", "-o", "b.jsonl.gz", "--store-bodies", "bodies", cwd=tmp_path) as first:
        origin.wait_waiting("held")
        for outputs in (["-o", "alias/b.jsonl.gz"], ["-o", "c.jsonl", "-o", f"{tmp_path}/b.jsonl.gz"]):
            status, said = run_batch(source, *outputs, cwd=tmp_path)
            whose = f"another fetch-batch (process {first.pid}), whose first output is {tmp_path}/a.jsonl, is writing "
            assert (status, whose in said) == (2, True), said
        assert not (tmp_path / "c.jsonl.percore").exists()
        origin.open("held")
        # What they share besides is no output.
        assert run_batch(source, "-o", "c.jsonl", "--store-bodies", "bodies", cwd=tmp_path)[0] == 0
        assert first.wait() == 0
    assert not list(tmp_path.glob("*.percore"))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--summary", "out.jsonl"], "--summary out.jsonl and -o out.jsonl are the same place"),
        (["--summary", "./out.jsonl.percore.json"], "and the receipt, out.jsonl.percore.json, are the same place"),
        (["--summary", "urls.txt"], "--summary urls.txt is the input"),
        (["-o", "out/", "--store-bodies", "out"], "--store-bodies out and -o out/ are the same place"),
        (["--store-bodies", "./out.jsonl.percore"], "which is named as a work folder"),
        (["--store-bodies", "other.percore/bodies"], "other.percore, which is named as a work folder"),
        (["--cache", "out.jsonl.percore/cache"], "which is named as a work folder"),
        (["--summary", "out.jsonl.percore/summary"], "which is named as a work folder"),
        (["--summary", "missing/summary.json"], "--summary missing/summary.json: there is no folder missing"),
        (["--summary", "."], "--summary . is a folder"),
        (["-o", "\udcff.jsonl"], "-o '\\udcff.jsonl': a name that is not UTF-8"),
        (["--store-bodies", "\udcff"], "\\udcff': a name that is not UTF-8"),
        (["--cache", "\udcff"], "\\udcff': a name that is not UTF-8"),
        (["--stage", "\udcff:f"], "--stage '\\udcff:f' is not UTF-8"),
        (["--format", "csv", "--url-column", "\udcff"], "--url-column '\\udcff' is not UTF-8"),
    ],
)
def test_places_and_names_that_can_not_be(arguments: list[str], why: str, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", ["http://a.example/"])
    status, said = run_batch("urls.txt", "-o", "out.jsonl", *arguments, cwd=tmp_path)
    assert (status, why in said, list(tmp_path.iterdir())) == (2, True, [source]), said


def test_a_folder_whose_name_is_no_text(origin: Origin, tmp_path: Path) -> None:
    """One can work there; where all of its name would have to be told, that is refused."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    write_list(folder / "urls.txt", [origin.url("/ok")])
    (folder / "st.py").write_text("def size(page):\n    return len(page.content)\n")
    (folder / "broken.py").write_text("def size(page:\n")
    for arguments, why in (
        (["--store-bodies", "bodies"], "--store-bodies"),
        (["-o", "b.warc.gz"], "-o "),
        (["--cache", "cache"], "--cache"),
        (["--stage", "st:sise"], "has no 'sise'"),
        (["--stage", "broken:size"], "can't be imported: SyntaxError"),
    ):
        status, said = run_batch("urls.txt", "-o", "a.jsonl", *arguments, cwd=folder)
        assert (status, said.count("\n"), why in said) == (2, 1, True), said
    assert run_batch("urls.txt", "-o", "a.jsonl", "--stage", "st:size", cwd=folder)[0] == 0
    assert len(records(folder / "a.jsonl")) == 1


def recorded(folder: Path) -> set[bytes]:
    """The whole lines in a work folder, whose files come and go meanwhile."""
    lines: set[bytes] = set()
    for path in folder.glob("*/*.jsonl"):
        with contextlib.suppress(FileNotFoundError):
            lines |= {line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")}
    return lines


def test_dedupe_fetches_once_and_goes_on(origin: Origin, tmp_path: Path) -> None:
    urls = [origin.url(path) for path in ("/ok/1", "/ok/2", "/ok/1", "/gate/held", "/ok/2")]
    one, two = write_list(tmp_path / "a.txt", urls), write_list(tmp_path / "b.txt", urls)
    arguments = [one, two, "-o", tmp_path / "out.jsonl", "--dedupe", "--drain-timeout", "0"]
    with running_batch(*arguments) as process:
        origin.wait_waiting("held")
        # What has no record yet would be let go of, and fetched again.
        wait_until(lambda: len(recorded(tmp_path / "out.jsonl.percore")) == 2, "two are recorded")
        process.signal(signal.SIGINT)
        assert process.wait() == 130
    with running_batch(*arguments, "--dry-run") as process:
        assert process.wait() == 0
        assert "10 lines: 3 requests, 0 that can't be fetched; 3 shards" in process.stdout
        assert "  7 listed before, and fetched once\n" in process.stdout
    origin.open("held")
    status, said = run_batch(*arguments, "--summary", tmp_path / "summary.json")
    assert (status, "7 listed before, and fetched once\n" in said) == (0, True)
    assert json.loads((tmp_path / "summary.json").read_bytes())["duplicates"] == 7
    assert [record["index"] for record in records(tmp_path / "out.jsonl")] == [0, 1, 3]
    counts = origin.counts().requests
    assert (counts["/ok/1"], counts["/ok/2"]) == (1, 1)


def test_bodies_and_a_warc_are_kept_through_a_stop(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok/1"), origin.url("/gate/held"), origin.url("/ok/2")])
    arguments = [source, "-o", tmp_path / "out.jsonl", "-o", tmp_path / "out.warc.gz"]
    arguments += ["--store-bodies", tmp_path / "bodies", "--drain-timeout", "0"]
    with running_batch(*arguments) as process:
        origin.wait_waiting("held")
        process.signal(signal.SIGINT)
        assert process.wait() == 130
    origin.open("held")
    assert run_batch(*arguments)[0] == 0
    for record in records(tmp_path / "out.jsonl"):
        sha256 = record["body_sha256"]
        stored = next((tmp_path / "bodies").rglob(sha256)).read_bytes()
        assert hashlib.sha256(stored).hexdigest() == sha256
        assert record["warc_id"]
    assert gzip.decompress((tmp_path / "out.warc.gz").read_bytes()).count(b"WARC-Type: response") == 3


def test_records_are_flushed_while_their_shard_is_under_way(origin: Origin, tmp_path: Path) -> None:
    # A longer list, so that the two are in one shard.
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok"), origin.url("/gate/held"), *["# note"] * 62])
    arguments = [source, "-o", tmp_path / "out.jsonl", "--workers", "1"]
    with running_batch(*arguments, PERCORE_LOG_LEVEL="debug") as process:
        origin.wait_waiting("held")
        process.wait_for_line("1 parts are on the disk")
        origin.open("held")
        assert process.wait() == 0


def test_a_package_that_registers_a_stage_is_known_by_its_version(origin: Origin, tmp_path: Path) -> None:
    information = tmp_path / "scorer-1.0.dist-info"
    information.mkdir()
    (information / "entry_points.txt").write_text("[percore.stages]\nscore = scorer:score\n")
    (tmp_path / "scorer.py").write_text("def score(page):\n    return len(page.content)\n")
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok/1")])
    arguments = (source, "-o", tmp_path / "out.jsonl", "--stage", "score", "--workers", "1")

    def run(version: str) -> tuple[int, str]:
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: scorer\nVersion: {version}\n")
        return run_batch(*arguments, PYTHONPATH=str(tmp_path))

    status, said = run("1.0")
    assert status == 0, said
    status, said = run("1.0")
    assert status == 0
    assert "nothing to do" in said
    status, said = run("1.1")
    assert status == 2
    assert "(of another version of the package of stage 'score', which was edited since); --fresh replaces it" in said
