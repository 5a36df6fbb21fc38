"""The engine end to end with a WARC and a body store: what came is kept, once for each record, whatever happens."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import brotli
import msgspec
import pytest
from warcio.archiveiterator import ArchiveIterator

from app.sinks.outputs import OutputSpec, PageOutputs, assemble
from tests.support.crash import DIED
from tests.support.origin import Origin, body_of
from tests.support.processes import HANG_GUARD_S, ROOT
from tests.support.proxies import running_proxy

# What each path's final body is, decoded; None for those that get no answer.
BODIES: dict[str, bytes | None] = {
    "/ok/500": body_of(500),
    "/gzip/40000": body_of(40_000),
    "/br/3000": body_of(3000),
    "/big-chunked/70000": body_of(70_000),
    "/no-content-length/800": body_of(800),
    "/redirect/2": None,  # as below
    "/status/404": None,
    "/status/204": b"",
    "/truncate": None,
    "/drop": None,
    "/redirect-loop": None,
}
# With Google's brotli beside it, warcio fails at every body that came as `br` (webrecorder/warcio #73).
WARCIO = "import sys; sys.modules['brotli'] = None; from warcio.cli import main; main()"

ANSWERED = [path for path in BODIES if path not in ("/truncate", "/drop", "/redirect-loop")]


def task_of(folder: Path, origin: Origin, paths: list[str], **more: Any) -> dict[str, Any]:
    lines = [json.dumps({"url": origin.url(f"{path}?n={number}"), "id": path}) for number, path in enumerate(paths)]
    (folder / "bodies").mkdir(exist_ok=True)
    outputs = more.pop("outputs", PageOutputs(warc=True, bodies=str(folder / "bodies")))
    return {"folder": str(folder / "work"), "lines": lines, "outputs": outputs, **more}


def work(task: dict[str, Any]) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tests.support.keeping_worker", msgspec.json.encode(task).decode()]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=3 * HANG_GUARD_S)


def assembled(folder: Path) -> tuple[list[dict[str, Any]], Path]:
    """The records, and the WARC, which `warcio check` has found whole."""
    shards = sorted((folder / "work" / "shards").glob("*.jsonl"))
    for name in ("out.jsonl", "out.warc.gz"):
        assemble(OutputSpec.parse(str(folder / name)), shards, folder / "work")
    warc = folder / "out.warc.gz"
    check = subprocess.run([sys.executable, "-c", WARCIO, "check", "-v", str(warc)], capture_output=True)
    assert check.returncode == 0, check.stdout
    assert b"digest pass" in check.stdout
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()], warc


def check(folder: Path, paths: list[str]) -> None:
    """One record for each line; for each that was answered one capture of its final response, and its body."""
    records, warc = assembled(folder)
    assert [record["id"] for record in records] == paths
    finals = {record["warc_id"]: record for record in records if record["status"] is not None}
    assert len(finals) == sum(path in ANSWERED for path in paths)
    found: dict[str, tuple[str, bytes]] = {}
    pages = {record["final_url"]: record for record in finals.values()}
    with warc.open("rb") as file:
        for each in ArchiveIterator(file):
            head = each.rec_headers
            if each.rec_type == "response" and head.get_header("WARC-Record-ID")[1:-1] in finals:
                name = head.get_header("WARC-Record-ID")[1:-1]
                assert name not in found, "one capture, and no more"
                found[name] = (head.get_header("WARC-Target-URI"), decoded(each))
            elif each.rec_type == "response":
                assert each.http_headers.get_statuscode() == "302", "only what led on comes besides"
            elif each.rec_type == "metadata":
                assert head.get_header("WARC-Concurrent-To")[1:-1] in finals
    assert found.keys() == finals.keys()
    for name, (url, body) in found.items():
        record = finals[name]
        assert url == record["final_url"]
        assert len(body) == record["bytes"]
        assert hashlib.sha256(body).hexdigest() == record["body_sha256"]
        stored = folder / "bodies" / record["body_sha256"][:2] / record["body_sha256"][2:4] / record["body_sha256"]
        assert stored.read_bytes() == body
        expected = BODIES[record["id"]]
        assert expected is None or body == expected
    for path in (folder / "bodies").rglob("*"):
        assert path.is_dir() or hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert not list((folder / "work" / "parts").iterdir())
    assert len(pages) == len(finals)


def decoded(response: Any) -> bytes:
    if response.http_headers.get_header("Content-Encoding") == "br":
        return brotli.decompress(response.raw_stream.read())
    return response.content_stream().read()


def test_all_that_came_is_kept(origin: Origin, tmp_path: Path) -> None:
    paths = list(BODIES) * 2
    done = work(task_of(tmp_path, origin, paths, stages=["title", "sha256"]))
    assert done.returncode == 0, done.stderr
    check(tmp_path, paths)
    records, warc = assembled(tmp_path)
    for record in records:
        assert ("warc_id" in record) == ("body_sha256" in record) == (record["status"] is not None)
        if record["ok"]:
            assert record["stages"]["sha256"] == record["body_sha256"]
    text = gzip.decompress(warc.read_bytes())
    assert text.count(b"X-Crawler-Transfer-Encoding: chunked\r\n") == 2
    assert text.count(b"\nTransfer-Encoding:") == 0
    assert text.count(b"Content-Encoding: gzip\r\n") == 2, "as it came"
    assert text.count(b"hopsFromSeed: RR\r\n") == 2
    # Of each hop's response and request, and of each capture's metadata; all but the warcinfo.
    beginnings = [
        text.count(b"WARC/1.1\r\nWARC-Type: %s\r\n" % kind) for kind in (b"response", b"request", b"metadata")
    ]
    assert text.count(b"WARC-IP-Address: 127.0.0.1\r\n") == sum(beginnings) > 3 * len(records) / 2


def test_addresses_are_asked_for_only_where_a_warc_wants_them(origin: Origin) -> None:
    script = f"""
        from gevent import monkey
        monkey.patch_all()
        from app.fetching import Session
        from app.fetching.curl_transport import CurlTransport
        print(Session().fetch({origin.url("/ok")!r})._answer.address)
        CurlTransport.note_addresses()
        print(Session().fetch({origin.url("/ok")!r})._answer.address)
    """
    command = [sys.executable, "-c", "\n".join(line.strip() for line in script.splitlines())]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.split() == [b"None", b"127.0.0.1"]


def test_an_address_is_the_origins_own_and_no_proxys(origin: Origin) -> None:
    with running_proxy() as proxy:
        script = f"""
            from gevent import monkey
            monkey.patch_all()
            from app.fetching import Session
            from app.fetching.curl_transport import CurlTransport
            CurlTransport.note_addresses()
            print(Session().fetch({origin.url("/ok")!r})._answer.address)
        """
        command = [sys.executable, "-c", "\n".join(line.strip() for line in script.splitlines())]
        environment = os.environ | {"http_proxy": proxy.url("http"), "no_proxy": "", "NO_PROXY": ""}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, env=environment)
        assert done.stdout.split() == [b"None"]
        assert proxy.asked


def test_what_is_kept_over_requests_own_transport(origin: Origin, tmp_path: Path) -> None:
    paths = list(BODIES)
    done = work(task_of(tmp_path, origin, paths, transport="requests"))
    assert done.returncode == 0, done.stderr
    check(tmp_path, paths)
    text = gzip.decompress((tmp_path / "out.warc.gz").read_bytes())
    assert b"X-Crawler-Content-Encoding: gzip\r\n" in text
    assert b"\nContent-Encoding:" not in text
    assert b"WARC-IP-Address" not in text, "nobody has told"


@pytest.mark.parametrize("seed", range(2))
def test_dead_at_any_line_and_gone_on_with(origin: Origin, tmp_path: Path, seed: int) -> None:
    """Three runs die somewhere; what is recorded stays, and the fourth does the rest."""
    chance = random.Random(seed)
    paths = list(ANSWERED) * 2
    chance.shuffle(paths)
    recorded: set[int] = set()
    for _ in range(3):
        done = work(task_of(tmp_path, origin, paths, die_at=chance.randrange(100, 800)))
        assert done.returncode == DIED, done.stderr
        before, recorded = recorded, recorded_in(tmp_path)
        assert before <= recorded
    assert work(task_of(tmp_path, origin, paths)).returncode == 0
    check(tmp_path, paths)


def recorded_in(folder: Path) -> set[int]:
    """Indexes that have their whole record, under way or finished."""
    files = [*(folder / "work" / "parts").glob("*.jsonl"), *(folder / "work" / "shards").glob("*.jsonl")]
    lines = [line for path in files for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return {json.loads(line)["index"] for line in lines}


def test_what_has_its_record_is_not_asked_for_again(origin: Origin, tmp_path: Path) -> None:
    paths = ["/ok/500"] * 20
    assert work(task_of(tmp_path, origin, paths, die_at=900, concurrency=1)).returncode == DIED
    recorded = recorded_in(tmp_path)
    assert 0 < len(recorded) < 20, "died in the middle"
    origin.reset()
    assert work(task_of(tmp_path, origin, paths)).returncode == 0
    asked = {int(hit.target.partition("=")[2]) for hit in origin.hits("/ok/500")}
    assert asked == set(range(20)) - recorded
    check(tmp_path, paths)


@pytest.mark.parametrize("outputs", ["warc", "bodies"])
def test_a_full_disk_ends_the_run_and_loses_nothing(origin: Origin, tmp_path: Path, outputs: str) -> None:
    paths = ["/ok/500"] * 15 + ["/big/400000"] + ["/ok/500"] * 4
    wanted = PageOutputs(warc=outputs == "warc", bodies=str(tmp_path / "bodies") if outputs == "bodies" else None)
    done = work(task_of(tmp_path, origin, paths, outputs=wanted, shard_size=20, room_bytes=15_000))
    assert done.stdout.startswith(b"OutputError: can't"), (done.stdout, done.stderr)
    assert b"File too large" in done.stdout
    done = work(task_of(tmp_path, origin, paths, outputs=wanted, shard_size=20))
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    shards = sorted((tmp_path / "work" / "shards").glob("*.jsonl"))
    records = [json.loads(line) for shard in shards for line in shard.read_bytes().splitlines()]
    assert [record["index"] for record in records] == list(range(20))
    assert all(record["ok"] for record in records)


def test_records_say_nothing_of_pages_when_none_are_kept(origin: Origin, tmp_path: Path) -> None:
    done = work(task_of(tmp_path, origin, ["/ok"], outputs=PageOutputs()))
    assert done.returncode == 0, done.stderr
    (line,) = (tmp_path / "work" / "shards" / "000000.jsonl").read_text().splitlines()
    assert not {"warc_id", "body_sha256"} & json.loads(line).keys()
    assert [path.name for path in (tmp_path / "work").rglob("*") if path.is_file()] == ["000000.jsonl"]


def test_the_archive_reads_as_archive(origin: Origin, tmp_path: Path) -> None:
    """Every record of the WARC stands in a gzip member of its own, whose place a reader can jump to."""
    assert work(task_of(tmp_path, origin, ["/ok/500", "/gzip/900"])).returncode == 0
    _, warc = assembled(tmp_path)
    with warc.open("rb") as file:
        places = []
        records = ArchiveIterator(file)
        for record in records:
            record.content_stream().read()
            records.read_to_end(record)
            places.append((records.get_record_offset(), records.get_record_length(), record.rec_type))
    data = warc.read_bytes()
    for offset, length, kind in places:
        (one,) = ArchiveIterator(io.BytesIO(data[offset : offset + length]))
        assert one.rec_type == kind
    assert [kind for _, _, kind in places] == ["warcinfo", *("response", "request", "metadata") * 2]
