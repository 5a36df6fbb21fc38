"""Retrying what failed, out of outputs of every kind and set, with a kill at every moment of it."""

from __future__ import annotations

import gzip
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from backports import zstd
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from app.engine.shard_run import ShardRun
from app.errors import UsageError
from app.model.outcome import ErrorKind, Failure, Outcome
from app.policy.sharding import Shard
from app.sinks import outputs
from app.sinks.outputs import OutputSpec, page_outputs, parse_outputs
from app.sinks.parquet import read_parquet, write_parquet
from app.sources.forms import URL
from tests.support.kill_points import kill_points
from tests.unit.test_sinks_pages import page_of
from tests.unit.test_work_folder import SHARD_SIZE, manifest, summary
from workers import unpack
from workers.layout import part_path, shard_path
from workers.receipt import read_receipt, receipt_path
from workers.retry_failed import ALL_KINDS
from workers.work_folder import WorkFolder

# Of 9 requests in 3 shards: no answer; an answer that is a failure; the whole of the second shard gives none.
SILENT = {1: ErrorKind.TIMEOUT, 3: ErrorKind.TIMEOUT, 4: ErrorKind.NAME_NOT_RESOLVED, 5: ErrorKind.TIMEOUT}
ANSWERED = {6: ErrorKind.HTTP_STATUS}
FAILED = SILENT | ANSWERED

SETS = [
    ["out.parquet"],
    ["out.warc.gz"],
    ["out.jsonl", "out.warc.gz"],
    ["out.warc.gz", "out.parquet"],
    ["out.parquet", "out.jsonl.zst", "out/", "out.warc.gz"],
]
EACH_SET = pytest.mark.parametrize("names", SETS, ids=" ".join)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that was written; and Parquet here, not in a process for each of some hundred times."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("app.sinks.body_store._sync_file_system", lambda _: None)
    monkeypatch.setitem(outputs._WRITERS, "parquet", write_parquet)
    monkeypatch.setattr(unpack, "read_parquet_apart", read_parquet)


class Job:
    """A job of 9 requests in a folder of its own, with these outputs and a body store."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.specs: list[OutputSpec] = parse_outputs([f"{folder}/{name}" for name in names])
        self.pages = page_outputs(self.specs, f"{folder}/bodies")

    def run(self, failed: dict[int, ErrorKind], *, retry: frozenset[str] | None = None) -> set[int] | None:
        """A whole run; what it fetched, None when there was nothing to do."""
        folder = WorkFolder(self.specs)
        if folder.begin(manifest(), retry=retry) is not None:
            return None
        fetched = self.fetch(folder, failed)
        kinds = {kind.value: list(failed.values()).count(kind) for kind in failed.values()}
        numbers = range(3)
        folder.publish(lambda: [shard_path(folder.path, number) for number in numbers], manifest(), summary(**kinds))
        return fetched

    def fetch(self, folder: WorkFolder, failed: dict[int, ErrorKind]) -> set[int]:
        fetched: set[int] = set()
        for number in range(3):
            final = shard_path(folder.path, number)
            if final.exists():
                continue
            lines = [URL + b"http://h.test/%d" % (number * SHARD_SIZE + line) for line in range(SHARD_SIZE)]
            shard = Shard(number, number * SHARD_SIZE, lines)
            run = ShardRun(shard, part_path(folder.path, number), final, self.pages)
            for entry in run.entries():
                fetched.add(entry.index)
                kind = failed.get(entry.index)
                fields: dict[str, Any] = {}
                if kind is None or entry.index in ANSWERED:
                    page = page_of(entry.url, b"no" if kind else b"body %d" % entry.index)
                    fields = {"status": 200, "bytes": len(page.body), **run.keep_page(entry.index, page)}
                error = Failure(kind, "why") if kind else None
                run.record([Outcome(index=entry.index, url=entry.url, ok=kind is None, error=error, **fields)])
            run.finish()
        return fetched

    def contents(self) -> dict[str, Any]:
        """What is in each output; of a WARC, its records by identifier."""
        return {str(spec): _content(spec) for spec in self.specs}

    def check(self, failed: dict[int, ErrorKind]) -> None:
        """Each output has exactly one record, or capture, of each request that should have one."""
        wanted = [failed.get(index) for index in range(9)]
        bodies = [b"body %d" % index if not kind else b"no" for index, kind in enumerate(wanted)]
        answered = [index for index in range(9) if index not in failed or index in ANSWERED]
        found = self.contents()
        warc_ids: list[str] | None = None
        for spec in self.specs:
            if spec.kind == "warc.gz":
                checker = Checker(type("Options", (), {"verbose": False, "inputs": []}))
                checker.process_one(str(spec.path))
                assert not checker.exit_value
                responses = [each for each in found[str(spec)] if each[0] == "response"]
                assert [url for _, _, url, _ in responses] == [f"http://h.test/{index}" for index in answered]
                assert [block.partition(b"\r\n\r\n")[2] for *_, block in responses] == [bodies[n] for n in answered]
                kinds = [kind for kind, *_ in found[str(spec)]]
                assert kinds.count("warcinfo") == 3
                assert kinds.count("request") == kinds.count("metadata") == len(answered)
                warc_ids = [identifier for _, identifier, _, _ in responses]
        for spec in self.specs:
            if spec.kind != "warc.gz":
                records = found[str(spec)]
                assert [record["index"] for record in records] == list(range(9))
                assert [(record.get("error") or {}).get("kind") for record in records] == wanted
                if warc_ids is not None:
                    assert [f"<{records[index]['warc_id']}>" for index in answered] == warc_ids

    def left(self) -> list[str]:
        """Names in the folder that are neither outputs nor the receipt nor bodies."""
        ours = {spec.path.name for spec in self.specs} | {"bodies", receipt_path(self.specs[0].path).name}
        return sorted(path.name for path in self.folder.iterdir() if path.name not in ours)


def _content(spec: OutputSpec) -> Any:
    if spec.kind == "warc.gz":
        data = io.BytesIO(spec.path.read_bytes())
        fields = ("WARC-Type", "WARC-Record-ID", "WARC-Target-URI")
        return [
            (*(record.rec_headers.get_header(name) for name in fields), record.raw_stream.read())
            for record in ArchiveIterator(data, no_record_parse=True)
        ]
    if spec.kind == "parquet":
        return pq.read_table(spec.path).to_pylist()
    if spec.kind == "folder":
        lines = b"".join(path.read_bytes() for path in sorted(spec.path.iterdir())).splitlines()
    else:
        data = spec.path.read_bytes()
        lines = (zstd.decompress(data) if spec.kind == "jsonl.zst" else data).splitlines()
    return [msgspec.json.decode(line) for line in lines]


@EACH_SET
def test_what_failed_is_fetched_again_and_the_rest_is_taken_over(names: list[str], tmp_path: Path) -> None:
    job = Job(tmp_path / "place", names)
    assert job.run(FAILED) == set(range(9))
    job.check(FAILED)
    before = job.contents()
    still = {5: ErrorKind.TIMEOUT, 6: ErrorKind.HTTP_STATUS}
    assert job.run(still, retry=ALL_KINDS) == set(FAILED)
    job.check(still)
    assert job.left() == []
    for name, content in job.contents().items():
        if name.endswith(".warc.gz"):
            kept = {record for record in before[name] if record[2] in (f"http://h.test/{n}" for n in (0, 2, 7, 8))}
            assert len(kept) == 4 * 3
            assert kept < set(content), "they are as they were"
        else:
            kept_records = [record for record in before[name] if record["index"] in (0, 2, 7, 8)]
            assert kept_records == [record for record in content if record["index"] in (0, 2, 7, 8)]
    one = {5: ErrorKind.TIMEOUT}
    assert job.run(one, retry=frozenset({"http_status"})) == {6}
    job.check(one)
    assert job.run(one, retry=frozenset({"http_status"})) is None
    assert job.run({}, retry=ALL_KINDS) == {5}
    job.check({})


def test_members_of_a_warc_are_taken_over_as_they_are(tmp_path: Path) -> None:
    job = Job(tmp_path / "place", ["out.warc.gz"])
    job.run(FAILED)
    data = job.specs[0].path.read_bytes()
    job.run({}, retry=ALL_KINDS)
    again = job.specs[0].path.read_bytes()
    # The first shard's first request; the third's last two.
    starts = [record[0] for record in offsets(data) if record[1] == "response"]
    first, last = starts[0], starts[-2]
    assert data[first : starts[1]] in again
    assert data[last:] in again


def offsets(data: bytes) -> list[tuple[int, str]]:
    iterator = ArchiveIterator(io.BytesIO(data))
    found = []
    for record in iterator:
        record.raw_stream.read()
        iterator.read_to_end(record)
        found.append((iterator.get_record_offset(), record.rec_type))
    return found


@pytest.mark.parametrize("names", SETS[:3], ids=" ".join)
def test_a_kill_at_any_moment_of_a_retry(names: list[str], tmp_path: Path) -> None:
    place = tmp_path / "place"
    job = Job(place, names)
    job.run(FAILED)
    kept = shutil.copytree(place, tmp_path / "kept")  # with its times, which the receipt vouches for
    still = {5: ErrorKind.TIMEOUT}

    def prepare() -> None:
        shutil.rmtree(place)
        shutil.copytree(kept, place)

    for changes in kill_points(prepare, lambda: job.run(still, retry=ALL_KINDS)):
        again = job.run(still, retry=ALL_KINDS)
        # Of a retry that had ended, the one that failed again is retried once more.
        assert again is None or again <= set(FAILED), f"after {changes} changes"
        job.check(still)
        assert job.left() == [], f"after {changes} changes"
        assert job.run(still) is None, "it is finished, and known to be"


@pytest.mark.parametrize("names", [["out.warc.gz"], ["out.jsonl", "out.warc.gz"]], ids=" ".join)
def test_an_unfinished_run_with_a_warc_is_retried(names: list[str], tmp_path: Path) -> None:
    job = Job(tmp_path / "place", names)
    folder = WorkFolder(job.specs)
    folder.begin(manifest())
    job.fetch(folder, FAILED)
    del folder  # interrupted before it published
    assert job.run({}, retry=frozenset({"http_status", "timeout"})) == set(FAILED) - {4}
    job.check({4: ErrorKind.NAME_NOT_RESOLVED})


def test_a_part_that_is_taken_up_keeps_its_captures(tmp_path: Path) -> None:
    job = Job(tmp_path / "place", ["out.jsonl", "out.warc.gz"])
    folder = WorkFolder(job.specs)
    folder.begin(manifest())
    lines = [URL + b"http://h.test/%d" % index for index in range(3)]
    part, final = part_path(folder.path, 0), shard_path(folder.path, 0)
    run = ShardRun(Shard(0, 0, lines), part, final, job.pages)
    page = page_of("http://h.test/0", b"body 0")
    run.record([Outcome(index=0, url="http://h.test/0", ok=True, bytes=6, **run.keep_page(0, page))])  # type: ignore[arg-type]
    run.record([Outcome(index=1, url="http://h.test/1", ok=False, error=Failure(ErrorKind.TIMEOUT, "why"))])
    run.close()
    del folder
    assert job.run({}, retry=ALL_KINDS) == set(range(1, 9))
    job.check({})


def test_only_a_warc_needs_the_receipt_to_say_who_failed(tmp_path: Path) -> None:
    for names in SETS:
        job = Job(tmp_path / "-".join(names).replace("/", ""), names)
        job.run(FAILED)
        receipt = read_receipt(receipt_path(job.specs[0].path))
        assert receipt is not None
        assert (receipt.failed is not None) == (names == ["out.warc.gz"])


Change = Callable[[Path], None]


def without_failures(folder: Path) -> None:
    path = folder / "out.warc.gz.percore.json"
    receipt = msgspec.json.decode(path.read_bytes())
    del receipt["failed"]
    path.write_bytes(msgspec.json.encode(receipt))


def vouched(change: Callable[[bytes], bytes]) -> Change:
    """The output changed, and the receipt with it: as a disk would that has turned bad."""

    def both(folder: Path) -> None:
        warc, receipt = folder / "out.warc.gz", folder / "out.warc.gz.percore.json"
        warc.write_bytes(change(warc.read_bytes()))
        told = msgspec.json.decode(receipt.read_bytes())
        status = warc.stat()
        told["outputs"][0] = {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
        receipt.write_bytes(msgspec.json.encode(told))

    return both


def flipped(data: bytes) -> bytes:
    return data[:700] + bytes([data[700] ^ 255]) + data[701:]


def without_first_shard(data: bytes) -> bytes:
    second = [offset for offset, kind in offsets(data) if kind == "warcinfo"][1]
    return data[second:]


def with_one_more(data: bytes) -> bytes:
    last = [offset for offset, kind in offsets(data) if kind == "warcinfo"][-1]
    return data + data[last:]


def in_one_member(data: bytes) -> bytes:
    return gzip.compress(gzip.decompress(data))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without_failures, "does not say which requests failed"),
        (vouched(flipped), "damaged"),
        (vouched(without_first_shard), "has not the captures|has no shard of request|has a shard of nothing"),
        (vouched(with_one_more), "has more shards|shard of nothing|has not the captures|no shard"),
        (vouched(in_one_member), "more than one record"),
        (vouched(lambda data: b""), "has no shard of request 1"),
        (vouched(lambda data: data[:-300]), "breaks off|damaged"),
    ],
)
def test_what_is_not_as_it_was_written_is_refused(change: Change, why: str, tmp_path: Path) -> None:
    job = Job(tmp_path / "place", ["out.warc.gz"])
    job.run(FAILED)
    change(job.folder)
    before = job.specs[0].path.read_bytes()
    folder = WorkFolder(job.specs)
    with pytest.raises(UsageError, match=why) as refused:
        folder.begin(manifest(), retry=ALL_KINDS)
    assert "--fresh does the whole job once more" in str(refused.value)
    assert job.specs[0].path.read_bytes() == before
