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
from pyarrow import parquet
from warcio.archiveiterator import ArchiveIterator

from tests.support.batch import children_of, records, run_batch, running_batch, write_list
from tests.support.origin import Origin
from tests.support.processes import wait_until


@pytest.fixture
def source(origin: Origin, tmp_path: Path) -> Path:
    """40 requests; every tenth fails at its first attempt, every tenth after that always."""
    paths = {0: "/flaky-status/{}/1/503", 5: "/status/404?{}"}
    return write_list(tmp_path / "urls.txt", [origin.url(paths.get(n % 10, "/ok/{}").format(n)) for n in range(40)])


ONCE = ("--retries", "0", "--workers", "1")
FLAKY = {0, 10, 20, 30}
MISSING = {5, 15, 25, 35}


def failed(output: Path) -> set[int]:
    got = records(output)
    assert [record["index"] for record in got] == list(range(len(got)))
    return {record["index"] for record in got if not record["ok"]}


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


def test_retry_failed_fetches_just_these(origin: Origin, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    run_batch(source, "-o", output, *ONCE)
    assert failed(output) == FLAKY | MISSING
    origin.reset()  # so that the flaky ones fail once more
    status, said = run_batch("--retry-failed", source, "-o", output, *ONCE)
    assert status == 1
    assert "32 from an earlier run, 8 in" in said
    assert origin.counts().total == 8
    assert failed(output) == FLAKY | MISSING
    status, _ = run_batch("--retry-failed", source, "-o", output, *ONCE)
    assert origin.counts().total == 16
    assert failed(output) == MISSING
    assert not (tmp_path / "out.jsonl.percore").exists()
    status, said = run_batch(source, "-o", output, *ONCE)
    assert (status, origin.counts().total) == (0, 16), said


@pytest.fixture
def moody(tmp_path: Path) -> Path:
    """A file; as long as it is not there, the stage `moody:stage` fails."""
    (tmp_path / "moody.py").write_text(
        "import os\ndef stage(page):\n    assert os.path.exists('mood'), 'not in the mood'\n"
    )
    return tmp_path / "mood"


@pytest.mark.parametrize("form", ["out.jsonl", "out/"])
def test_the_old_output_stays_until_the_new_one_is_there(
    origin: Origin, moody: Path, tmp_path: Path, form: str
) -> None:
    urls = [origin.url(path) for path in ("/ok/1", "/gate/held", "/ok/2")]
    write_list(tmp_path / "urls.txt", urls)
    arguments = ["urls.txt", "-o", form, "--shard-size", "1", "--stage", "moody:stage"]
    origin.open("held")
    run_batch(*arguments, cwd=tmp_path)
    old = content(tmp_path / form)
    assert old.count(b"not in the mood") == 3
    origin.reset()
    moody.touch()
    with running_batch(*arguments, "--retry-failed=stage_failed", cwd=tmp_path) as process:
        origin.wait_waiting("held")
        assert content(tmp_path / form) == old
        origin.open("held")
        assert process.wait() == 0
    new = content(tmp_path / form)
    assert (new.count(b'"ok":true'), new.count(b"\n")) == (3, 3)
    assert not list(tmp_path.glob("*.percore"))


def test_retry_failed_of_some_kinds(origin: Origin, tmp_path: Path) -> None:
    urls = [origin.url(path) for path in ("/flaky-status/a/1/503", "/drop", "/ok", "/drop?2")]
    source, output = write_list(tmp_path / "urls.txt", urls), tmp_path / "out.jsonl"
    run_batch(source, "-o", output, *ONCE)
    origin.reset()
    status, _ = run_batch(source, "-o", output, *ONCE, "--retry-failed=connection_lost,timeout")
    assert status == 1
    assert origin.counts().requests == {"/drop": 2}
    status, said = run_batch(source, "-o", output, *ONCE, "--retry-failed=timeout")
    assert status == 0
    assert "nothing to do" in said
    status, said = run_batch(source, "-o", output, *ONCE, "--retry-failed=slowness")
    assert status == 2
    assert "'slowness' is no error kind; there are" in said
    status, said = run_batch(source, "-o", output, *ONCE, "--retry-failed", "--fresh")
    assert (status, "give one of them" in said) == (2, True)
    assert origin.counts().total == 2


def records_in(work: Path) -> int:
    """In all parts and shards, at a moment when none of them is on its way to another name."""
    try:
        return sum(path.read_bytes().count(b"\n") for path in work.glob("*/*.jsonl"))
    except FileNotFoundError:
        return -1


def test_retry_failed_of_an_unfinished_run(origin: Origin, source: Path, tmp_path: Path) -> None:
    with source.open("a") as file:
        file.write(f"{origin.url('/gate/held')}\n")
    output, work = tmp_path / "out.jsonl", tmp_path / "out.jsonl.percore"
    arguments = [source, "-o", output, *ONCE, "--drain-timeout", "0"]
    with running_batch(*arguments) as process:
        origin.wait_waiting("held")
        wait_until(lambda: records_in(work) == 40, "the rest is done")
        process.signal(signal.SIGINT)
        assert process.wait() == 130
    origin.open("held")
    asked = origin.counts().total
    run_batch(*arguments, "--retry-failed")
    assert origin.counts().total == asked + 9
    assert failed(output) == MISSING


def test_a_retry_that_is_killed_goes_on_where_it_was(origin: Origin, moody: Path, tmp_path: Path) -> None:
    urls = [origin.url(path) for path in ("/status/404", "/gate/held", "/ok")]
    write_list(tmp_path / "urls.txt", urls)
    output, work = tmp_path / "out.jsonl", tmp_path / "out.jsonl.percore"
    arguments = ["urls.txt", "-o", "out.jsonl", "--retries", "0", "--stage", "moody:stage"]
    origin.open("held")
    run_batch(*arguments, cwd=tmp_path)
    assert failed(output) == {0, 1, 2}
    origin.reset()
    moody.touch()
    with running_batch(*arguments, "--retry-failed", cwd=tmp_path) as process:
        origin.wait_waiting("held")
        wait_until(lambda: records_in(work) == 2, "the rest is done")
        process.signal(signal.SIGKILL)
        process.wait()
    origin.open("held")
    assert run_batch(*arguments, "--retry-failed", cwd=tmp_path)[0] == 1
    assert origin.counts().requests == {"/status/404": 1, "/gate/held": 2, "/ok": 1}
    assert failed(output) == {0}


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


@pytest.mark.parametrize(
    "outputs",
    [["out.jsonl.gz"], ["a.parquet", "out.jsonl.zst", "b/"], ["out.parquet"], ["out.warc.gz"], ["a/", "b.warc.gz"]],
)
def test_outputs_of_every_kind_are_known_again_and_retried(
    origin: Origin, source: Path, tmp_path: Path, outputs: list[str]
) -> None:
    more = [word for name in outputs for word in ("-o", name)]
    assert run_batch(source, *more, *ONCE, cwd=tmp_path)[0] == 1
    asked = origin.counts().total
    assert run_batch(source, *more, *ONCE, cwd=tmp_path)[0] == 0
    assert origin.counts().total == asked
    before = {name: content(tmp_path / name) for name in outputs}
    assert run_batch(source, *more, *ONCE, "--retry-failed", cwd=tmp_path)[0] == 1
    assert origin.counts().total == asked + 8
    assert all(content(tmp_path / name) != before[name] for name in outputs), "all are replaced"
    assert not list(tmp_path.glob("*.percore"))
    assert run_batch(source, *more, *ONCE, cwd=tmp_path)[0] == 0
    status, said = run_batch(source, *more, "-o", "third.jsonl", *ONCE, cwd=tmp_path)
    assert (status, "of another set of outputs" in said) == (2, True)


def content(output: Path) -> bytes:
    files = sorted(output.iterdir()) if output.is_dir() else [output]
    return b"".join(file.read_bytes() for file in files)


def test_a_retry_takes_over_captures_and_bodies(origin: Origin, source: Path, tmp_path: Path) -> None:
    arguments = [source, "-o", "out.parquet", "-o", "out.warc.gz", "--store-bodies", "bodies", *ONCE]
    assert run_batch(*arguments, cwd=tmp_path)[0] == 1
    before = captures(tmp_path / "out.warc.gz")
    assert len(before) == 40, "what is a failure of HTTP is an answer, too"
    origin.reset()
    assert run_batch(*arguments, "--retry-failed", cwd=tmp_path)[0] == 1
    assert origin.counts().total == 8
    assert run_batch(*arguments, "--retry-failed", cwd=tmp_path)[0] == 1
    after = captures(tmp_path / "out.warc.gz")
    changed = {index for index in range(40) if after[index] != before[index]}
    assert changed == FLAKY | MISSING
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["index"] for row in rows if not row["ok"]] == sorted(MISSING)
    for row in rows:
        assert after[row["index"]][0] == f"<{row['warc_id']}>"
        (stored,) = (tmp_path / "bodies").rglob(row["body_sha256"])
        assert hashlib.sha256(stored.read_bytes()).hexdigest() == row["body_sha256"]
    assert origin.counts().total == 16


def captures(warc: Path) -> dict[int, tuple[str, bytes]]:
    """Identifier and whole final response by index, of a WARC whose digests are right."""
    finals, responses = {}, {}
    with warc.open("rb") as file:
        for record in ArchiveIterator(file, check_digests="raise"):
            record.raw_stream.read()
        file.seek(0)
        for record in ArchiveIterator(file, no_record_parse=True):
            head, block = record.rec_headers, record.raw_stream.read()
            if record.rec_type == "response":
                responses[head.get_header("WARC-Record-ID")] = block
            elif record.rec_type == "metadata":
                finals[int(block.split()[1])] = head.get_header("WARC-Concurrent-To")
    return {index: (identifier, responses[identifier]) for index, identifier in finals.items()}


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
    ],
)
def test_what_would_write_over_each_other(arguments: list[str], why: str, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", ["http://a.example/"])
    status, said = run_batch("urls.txt", "-o", "out.jsonl", *arguments, cwd=tmp_path)
    assert (status, why in said, list(tmp_path.iterdir())) == (2, True, [source]), said


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


def test_records_are_flushed_while_their_shard_is_under_way(origin: Origin, tmp_path: Path) -> None:
    # A longer list, so that the two are in one shard.
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok"), origin.url("/gate/held"), *["# note"] * 62])
    arguments = [source, "-o", tmp_path / "out.jsonl", "--workers", "1"]
    with running_batch(*arguments, PERCORE_LOG_LEVEL="debug") as process:
        origin.wait_waiting("held")
        process.wait_for_line("1 parts are on the disk")
        origin.open("held")
        assert process.wait() == 0
