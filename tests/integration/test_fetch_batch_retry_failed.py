"""fetch-batch --retry-failed: just what failed is fetched again, and all else is taken over."""

from __future__ import annotations

import gzip
import hashlib
import signal
from pathlib import Path

import pytest
from pyarrow import parquet
from warcio.archiveiterator import ArchiveIterator

from tests.support.batch import records, run_batch, running_batch, write_list
from tests.support.failing_list import FLAKY, MISSING, ONCE, write_failing_list
from tests.support.origin import Origin
from tests.support.processes import wait_until


@pytest.fixture
def source(origin: Origin, tmp_path: Path) -> Path:
    return write_failing_list(tmp_path / "urls.txt", origin)


def failed(output: Path) -> set[int]:
    got = records(output)
    assert [record["index"] for record in got] == list(range(len(got)))
    return {record["index"] for record in got if not record["ok"]}


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


def test_outputs_are_one_set_in_whatever_order(origin: Origin, tmp_path: Path) -> None:
    urls = [
        origin.url("/flaky-status/x/1/503" if n == 3 else f"/ok/{n}" if n < 20 else "/gate/held") for n in range(21)
    ]
    source = write_list(tmp_path / "urls.txt", urls)
    one = [source, "-o", "b.jsonl", "-o", "a.jsonl.gz", "-o", "c.warc.gz", *ONCE]
    other = [source, "-o", "c.warc.gz", "-o", "a.jsonl.gz", "-o", "b.jsonl", *ONCE]
    with running_batch(*one, "--drain-timeout", "0", cwd=tmp_path) as process:
        origin.wait_waiting("held", n=1)
        process.signal(signal.SIGINT)
        assert process.wait() == 130
        done = sum(path.read_bytes().count(b"\n") for path in (tmp_path / "b.jsonl.percore").rglob("*.jsonl"))
    asked = origin.counts().total
    origin.open("held")
    assert run_batch(*other, cwd=tmp_path)[0] == 1
    assert origin.counts().total == asked + 21 - done, "it went on"
    for arguments in (one, other):
        status, said = run_batch(*arguments, cwd=tmp_path)
        assert (status, "nothing to do: b.jsonl, a.jsonl.gz, c.warc.gz are finished" in said) == (0, True), said
    assert run_batch(*other, "--retry-failed", cwd=tmp_path)[0] == 0
    assert failed(tmp_path / "b.jsonl") == set()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == (tmp_path / "b.jsonl").read_bytes()
    assert len(list(tmp_path.glob("*.percore*"))) == 1, "one receipt"


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
