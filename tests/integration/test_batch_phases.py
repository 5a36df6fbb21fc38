"""Before and after the fetching: outputs are unpacked for a retry, and assembled at the end. It is shown, and ctrl-C
ends it; the same command goes on.

A file that is to be read is a pipe with nobody at its other end, so the batch waits there for as long as a test wants.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.batch import COMMAND, records, run_batch, running_batch
from tests.support.origin import Origin, running_origin
from tests.support.processes import wait_until
from tests.support.terminal import Terminal, running_on_terminal

URLS = 8  # each of them is a shard
HELD = 3  # of the shard that is waited for
SHARE = "38%"  # three of eight


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with running_origin() as running:
        yield running


class Held:
    """A file that is a pipe for now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.content = path.read_bytes()
        self._times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        path.unlink()
        os.mkfifo(path)
        os.utime(path, ns=self._times)

    def let_go(self) -> None:
        """Give whoever waits there what it wants."""
        with self._path.open("wb") as pipe:
            pipe.write(self.content)

    def restore(self) -> None:
        self._path.unlink()
        self._path.write_bytes(self.content)
        os.utime(self._path, ns=self._times)


class Job:
    """In `folder`; one request fails."""

    def __init__(self, origin: Origin, folder: Path, output: str, *options: str) -> None:
        self.origin = origin
        self.output = folder / output.rstrip("/")
        self.work = folder / f"{self.output.name}.percore"
        urls = [origin.url(f"/status/404?{n}" if n == 1 else f"/ok/{n}") for n in range(URLS)]
        source = folder / "urls.txt"
        source.write_text("".join(f"{url}\n" for url in urls))
        slash = "/" * output.endswith("/")
        self.arguments = [str(source), "-o", f"{self.output}{slash}", "--workers", "1", *options]

    def fetched(self) -> Held:
        """All is fetched, and nothing assembled; one of the shards can't be read."""
        with running_batch(*self.arguments) as process:
            wait_until((self.work / "manifest.json").exists, "it has begun")
            self.output.mkdir()  # somebody else's, so it is not replaced
            assert process.wait() == 3, process.stderr
        self.output.rmdir()
        held = Held(self.work / "shards" / f"{HELD:06}.jsonl")
        with (self.work / "ledger").open("a") as ledger:
            ledger.write(json.dumps({"number": HELD, "bytes": 0, "kinds": {"ok": 1}}) + "\n")
        return held

    def assert_goes_on(self, *more: str) -> None:
        """To its end, without fetching anything again but what `more` says."""
        before = self.origin.counts().total
        status, said = run_batch(*self.arguments, *more)
        assert status == 1, said
        assert [record["index"] for record in self.records()] == list(range(URLS))
        assert self.origin.counts().total == before + len(more)
        assert not self.work.exists()

    def records(self) -> list[dict[str, object]]:
        if self.output.is_dir():
            return [record for path in sorted(self.output.iterdir()) for record in records(path)]
        return records(self.output)


@contextmanager
def typed(job: Job, *more: str) -> Iterator[Terminal]:
    with running_on_terminal([*COMMAND, *job.arguments, *more], columns=200) as terminal:
        yield terminal


LONG_DRAIN = ("--drain-timeout", "3600")


def test_assembling_is_shown_and_ends_at_its_next_step(origin: Origin, tmp_path: Path) -> None:
    job = Job(origin, tmp_path, "out.jsonl", *LONG_DRAIN)
    held = job.fetched()
    with typed(job) as terminal:
        line = terminal.wait_for(f"{SHARE}  assembling {job.output}").splitlines()[-1]
        assert line.startswith("███████░"), line
        terminal.type(b"\x03")
        terminal.wait_for("stopping at the next step; ctrl-C again leaves at once")
        held.let_go()
        assert terminal.wait() == 130
        assert "nothing is lost, this goes on: " in terminal.text
        assert "  assembling " not in terminal.text, "the line is gone"
    assert not list(tmp_path.glob("out.jsonl*new")), "what was written of it is gone"
    held.restore()
    job.assert_goes_on()


@pytest.mark.parametrize(("limit", "keys"), [("3600", b"\x03\x03"), ("0", b"\x03")], ids=["twice", "no time"])
def test_assembling_that_does_not_come_to_a_step_is_left(
    origin: Origin, tmp_path: Path, limit: str, keys: bytes
) -> None:
    job = Job(origin, tmp_path, "out.jsonl", "--drain-timeout", limit)
    held = job.fetched()
    with typed(job, "--summary", str(tmp_path / "summary")) as terminal:
        terminal.wait_for(f"assembling {job.output}")
        terminal.type(keys[:1])
        if keys[1:]:
            terminal.wait_for("ctrl-C again leaves at once")
            terminal.type(keys[1:])
        assert terminal.wait() == 130
        assert "nothing is lost, this goes on: " in terminal.text
    told = json.loads((tmp_path / "summary").read_bytes())
    assert (told["state"], told["records"]) == ("interrupted", URLS)
    held.restore()
    job.assert_goes_on()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_assembling_too(origin: Origin, tmp_path: Path, number: signal.Signals) -> None:
    job = Job(origin, tmp_path, "out.jsonl", *LONG_DRAIN)
    held = job.fetched()
    with running_batch(*job.arguments, "--progress", "json", "--summary", tmp_path / "summary") as process:
        process.wait_for_line('"phase":{"name":"assembling"')
        process.signal(number)
        process.wait_for_line("stopping at the next step")
        held.let_go()
        assert process.wait() == 130
        assert '{"summary":{"state":"interrupted","records":8,"ok":7,"failed":1,' in process.stderr
        assert "nothing is lost, this goes on: " in process.stderr
    told = json.loads((tmp_path / "summary").read_bytes())
    assert (told["state"], told["records"]) == ("interrupted", URLS)
    assert not list(tmp_path.glob("out.jsonl*new"))
    held.restore()
    job.assert_goes_on()


def test_parquet_is_left_and_its_process_with_it(origin: Origin, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    job = Job(origin, tmp_path, "out.parquet", *LONG_DRAIN)
    held = job.fetched()
    with running_batch(*job.arguments, "--progress", "json") as process:
        process.wait_for_line('"phase":{"name":"assembling"')
        process.signal(signal.SIGTERM)
        process.wait_for_line("ctrl-C again leaves at once")
        process.signal(signal.SIGINT)
        process.signal(signal.SIGINT)
        assert process.wait() == 130
        assert "nothing is lost" in process.stderr
        wait_until(lambda: process.session() == [], "nothing is left of it")
    held.restore()
    assert run_batch(*job.arguments)[0] == 1
    assert job.output.exists()


def test_assembling_is_told_to_machines_and_to_logs(origin: Origin, tmp_path: Path) -> None:
    job = Job(origin, tmp_path, "out.jsonl", *LONG_DRAIN)
    held = job.fetched()
    with running_batch(*job.arguments, "--progress", "json") as process:
        told = json.loads(process.wait_for_line('"phase":{"name":"assembling"'))
        assert told["phase"] == {"name": "assembling", "output": str(job.output), "share": HELD / URLS}
        assert (told["done"], told["total"]) == (URLS, URLS)
        process.signal(signal.SIGTERM)
        process.wait_for_line("stopping at the next step")
        held.let_go()
        assert process.wait() == 130
    with running_batch(*job.arguments, "--progress", "auto") as process:
        process.wait_for_line(f"fetch-batch: assembling {job.output}: {SHARE}")
        held.let_go()
        assert process.wait() == 1, process.stderr


@pytest.mark.parametrize("leaves", [False, True])
def test_unpacking_is_shown_and_ended(origin: Origin, tmp_path: Path, leaves: bool) -> None:
    job = Job(origin, tmp_path, "out/", *LONG_DRAIN)
    assert run_batch(*job.arguments)[0] == 1
    receipt = tmp_path / "out.percore.json"
    kept = receipt.read_bytes()
    held = Held(job.output / f"{HELD:06}.jsonl")
    told = json.loads(kept)
    told["outputs"][0]["bytes"] -= len(held.content)
    receipt.write_text(json.dumps(told))
    with typed(job, "--retry-failed", "--summary", str(tmp_path / "summary")) as terminal:
        terminal.wait_for(f"{SHARE}  unpacking {job.output}/")
        terminal.type(b"\x03")
        terminal.wait_for("ctrl-C again leaves at once")
        if leaves:
            terminal.type(b"\x03")
        else:
            held.let_go()
        assert terminal.wait() == 130
        assert "nothing is lost, this goes on: " in terminal.text
        assert "--retry-failed" in terminal.text.split("this goes on: ")[1]
    assert json.loads((tmp_path / "summary").read_bytes())["state"] == "interrupted"
    assert job.work.exists() == leaves, "what it had begun with is of no use"
    held.restore()
    receipt.write_bytes(kept)
    job.assert_goes_on("--retry-failed")
