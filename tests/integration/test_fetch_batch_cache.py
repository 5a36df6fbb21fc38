"""fetch-batch --cache from end to end: runs that share a folder."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
from warcio.archiveiterator import ArchiveIterator

from app.fetching.session import Transport
from tests.support.batch import COMMAND, children_of, records, run_batch, running_batch, write_list
from tests.support.caches import HOUR, NEVER, TAG, told
from tests.support.hubs import hub_until
from tests.support.origin import Origin
from tests.support.processes import running_process
from tests.support.small_disk import small_disk


def captures(path: Path) -> list[tuple[str, str, bytes]]:
    """Of each response: its URL, its date, its body."""
    with open(path, "rb") as file:
        return [
            (
                record.rec_headers.get_header("WARC-Target-URI"),
                record.rec_headers.get_header("WARC-Date"),
                record.content_stream().read(),
            )
            for record in ArchiveIterator(file)
            if record.rec_type == "response"
        ]


def without_how(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records without what may differ by how the answers came."""
    for record in found:
        for name in ("elapsed_s", "attempts", "cache", "warc_id"):
            record.pop(name, None)
        for name in ("age", "date"):
            record["headers"].pop(name, None)
    return found


@pytest.mark.parametrize("transport", get_args(Transport))
def test_a_second_run_contacts_nobody(origin: Origin, tmp_path: Path, transport: str) -> None:
    target = told("target", HOUR)
    paths = [
        *(told(f"{number}", HOUR, gzip=number % 2) for number in range(60)),
        told("moved", f"Location: {target}", status=301),
        told("gone", HOUR, status=404),
    ]
    source = write_list(tmp_path / "urls.txt", list(map(origin.url, paths)))
    summaries = []
    for name in ("first", "second"):
        outputs = ["-o", tmp_path / f"{name}.jsonl", "-o", tmp_path / f"{name}.warc.gz"]
        common = ["--cache", tmp_path / "cache", "--stage", "sha256", "--workers", "2", "--summary", tmp_path / "s"]
        status, stderr = run_batch(source, *outputs, *common, PERCORE_TRANSPORT=transport)
        assert status == 1, stderr
        summaries.append(json.loads((tmp_path / "s").read_bytes())["cache"])
        if name == "first":
            assert origin.counts().total == 63
    assert origin.counts().total == 63, "the second run asked nobody"
    assert "cache: 63 hits, 0 revalidated, 0 fetched, 0 of them stored" in stderr
    assert summaries == [
        {"hits": 0, "revalidated": 0, "stale": 0, "misses": 63, "stored": 63},
        {"hits": 63, "revalidated": 0, "stale": 0, "misses": 0, "stored": 0},
    ]
    first, second = (records(tmp_path / f"{name}.jsonl") for name in ("first", "second"))
    assert {record["cache"] for record in first} == {"miss"}
    assert {(record["cache"], record["attempts"]) for record in second} == {("hit", 0)}
    assert all(int(record["headers"]["age"]) >= 0 for record in second)
    assert without_how(first) == without_how(second)
    assert captures(tmp_path / "first.warc.gz") == captures(tmp_path / "second.warc.gz")


def test_what_is_stale_is_asked_about(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url(told(f"{n}", NEVER, TAG)) for n in range(5)])
    for number, (kind, stored) in enumerate([("miss", 5), ("revalidated", 0)]):
        output = tmp_path / f"{number}.jsonl"
        status, stderr = run_batch(source, "-o", output, "--cache", tmp_path / "cache", "--timing")
        assert status == 0, stderr
        found = records(output)
        assert {(record["cache"], record["attempts"], record["status"]) for record in found} == {(kind, 1, 200)}
        assert all("timing" in record for record in found)
        assert f"{stored} of them stored" in stderr
    assert Counter(dict(hit.headers).get("if-none-match") for hit in origin.hits()) == {None: 5, '"v1"': 5}


def test_without_the_option_nothing_is_said_of_it(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url(told("a", HOUR))])
    status, stderr = run_batch(source, "-o", tmp_path / "out.jsonl", "--summary", tmp_path / "s")
    assert status == 0
    assert "cache" not in stderr
    assert "cache" not in records(tmp_path / "out.jsonl")[0]
    assert json.loads((tmp_path / "s").read_bytes())["cache"] is None


def test_it_is_no_other_job(origin: Origin, tmp_path: Path) -> None:
    """Where answers come from decides how fast it is, not what is asked for: runs may differ in it."""
    source = write_list(tmp_path / "urls.txt", [origin.url(told("a", HOUR))])
    output = tmp_path / "out.jsonl"
    assert run_batch(source, "-o", output, "--cache", tmp_path / "cache")[0] == 0
    for more in ([], ["--cache", tmp_path / "other"]):
        status, stderr = run_batch(source, "-o", output, *more)
        assert status == 0
        assert "nothing to do" in stderr
    assert origin.counts().total == 1


def test_what_failed_is_really_asked_for_again(origin: Origin, tmp_path: Path) -> None:
    urls = [origin.url(told("gone", HOUR, status=404)), origin.url(told("here", HOUR))]
    source = write_list(tmp_path / "urls.txt", urls)
    arguments = [source, "-o", tmp_path / "out.jsonl", "--cache", tmp_path / "cache"]
    assert run_batch(*arguments)[0] == 1
    assert run_batch(*arguments, "--retry-failed")[0] == 1
    assert origin.counts().requests == {"/told/gone": 2, "/told/here": 1}


def test_public_runs_don_t_see_what_others_fetched(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url(told("a", HOUR))])
    assert run_batch(source, "-o", tmp_path / "1.jsonl", "--cache", tmp_path / "cache")[0] == 0
    status, _ = run_batch(source, "-o", tmp_path / "2.jsonl", "--cache", tmp_path / "cache", "--deny-private")
    assert status == 1
    assert records(tmp_path / "2.jsonl")[0]["error"]["kind"] == "address_denied"


def test_a_folder_that_can_t_be_used(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok")])
    (tmp_path / "file").write_bytes(b"")
    status, stderr = run_batch(source, "-o", tmp_path / "out.jsonl", "--cache", tmp_path / "file")
    assert status == 2
    assert "the cache" in stderr
    assert "can't be used" in stderr
    assert not (tmp_path / "out.jsonl.percore").exists()
    assert run_batch(source, "-o", tmp_path / "out.jsonl", "--cache", tmp_path / "c", "--cache-size", "5")[0] == 2


def test_a_folder_that_can_t_be_written_is_told_of_once(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url(told(f"{n}", HOUR)) for n in range(40)])
    cache = tmp_path / "cache" / "v1"
    cache.mkdir(parents=True)
    # As a full disk, but for everybody: nothing can be begun there.
    assert run_batch(source, "-o", tmp_path / "0.jsonl", "--cache", tmp_path / "cache")[0] == 0
    (cache / "unfinished").rmdir()
    os.symlink("/proc/self/fdinfo", cache / "unfinished")
    for path in cache.glob("??/*"):
        path.unlink()
    status, stderr = run_batch(source, "-o", tmp_path / "1.jsonl", "--cache", tmp_path / "cache", "--workers", "2")
    assert status == 0, stderr
    assert stderr.count("going on without it") == 1
    assert "0 of them stored" in stderr
    assert [record["status"] for record in records(tmp_path / "1.jsonl")] == [200] * 40


@pytest.mark.parametrize("state", ["full", "read only"])
@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
def test_a_disk_that_takes_nothing_costs_no_fetch(origin: Origin, tmp_path: Path, state: str, is_used: bool) -> None:
    """What is kept there already is read all the same."""
    source = write_list(tmp_path / "urls.txt", [origin.url(told(f"{n}", HOUR)) for n in range(10)])
    mounted = tmp_path / "disk"
    mounted.mkdir()
    with small_disk(mounted, 8_000_000) as disk:

        def run(name: str) -> str:
            output, summary = tmp_path / name, tmp_path / "summary"
            options = ["--cache", mounted / "cache", "--workers", "1", "--summary", summary, "--progress", "none"]
            with running_process([*disk.enter, *COMMAND, source, "-o", output, *map(str, options)]) as process:
                assert process.wait() == 0, process.stderr
                return process.stderr

        if is_used:
            run("before.jsonl")
        if state == "full":
            disk.fill()
        else:
            disk.set_read_only(True)
        stderr = run("out.jsonl")
        assert "None" not in stderr
        tag = disk.outside / "cache" / "CACHEDIR.TAG"
        assert tag.exists() == is_used, "no half of it"
    assert [record["status"] for record in records(tmp_path / "out.jsonl")] == [200] * 10
    counts = json.loads((tmp_path / "summary").read_bytes())["cache"]
    if is_used:
        assert counts["hits"] == 10
        assert origin.counts().total == 10
    else:
        assert stderr.count("going on without it") == 1
        assert (counts is None) == (state == "read only"), counts


def test_a_mistake_is_one_all_the_same(tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", ["http://127.0.0.1:9/"])
    status, stderr = run_batch(source, "-o", tmp_path / "out.jsonl", "--cache", source)
    assert status == 2
    assert f"the cache {source} can't be used: File exists: {source}" in stderr


def test_workers_killed_at_any_moment_leave_a_good_cache(origin: Origin, tmp_path: Path) -> None:
    """Two children store into one folder and are killed again and again, in the midst of it; what is there afterwards
    is right, and serves a whole run.
    """
    chance = random.Random(7)
    paths = [told(f"{number}", HOUR, length=30_000) for number in range(400)]
    urls = [*map(origin.url, paths), origin.url("/gate/held")]
    source = write_list(tmp_path / "urls.txt", urls)
    arguments = [source, "--cache", tmp_path / "cache", "--workers", "2", "--shard-size", "20", "--stage", "sha256"]
    with running_batch(*arguments, "-o", tmp_path / "1.jsonl") as process:
        for asked in sorted(chance.sample(range(380), 4)):
            # The moment: that many were asked for. The last one waits at a gate, so the job is not over.
            hub_until(lambda asked=asked: origin.counts().total > asked, "more requests")  # type: ignore[misc]
            os.kill(chance.choice(hub_until(lambda: children_of(process.pid), "a child")), signal.SIGKILL)
        origin.open("held")
        assert process.wait(timeout_s=120) == 0, process.stderr
    first = records(tmp_path / "1.jsonl")
    before = origin.counts().requests
    status, stderr = run_batch(*arguments, "-o", tmp_path / "2.jsonl")
    assert status == 0, stderr
    second = records(tmp_path / "2.jsonl")
    after = origin.counts().requests
    for one, two, path in zip(first[:-1], second[:-1], paths, strict=True):
        key = path.partition("?")[0]
        if two["cache"] == "hit":
            assert after[key] == before[key]
            assert two["bytes"] == 30_000
            # Asked for twice, because a worker died with it, it may have been stored twice: one of the two it is.
            assert one["stages"] == two["stages"] or before[key] > 1
    hits = sum(record.get("cache") == "hit" for record in second)
    assert hits >= 390, "all but what was being stored when somebody died"
