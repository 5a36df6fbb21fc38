"""Stored responses through the engine: the same record as if they were fetched now, and nothing is contacted."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from backports import zstd

from app.assembly import build_engine
from app.engine.shard_run import ShardRun
from app.engine.stage_loading import load_stages
from app.engine.stage_rules import StageRules
from app.model.job import FetchOptions
from app.policy.sharding import cut
from app.settings import Settings
from app.sources.inputs import Inputs
from tests.support.batch import records, write_list
from tests.support.hubs import in_a_hub_of_its_own
from tests.support.raw_origin import RawOrigin, Script, running_raw_origin
from tests.support.warcs import answer, record, write_warc

SETTINGS = Settings(max_body_bytes=100_000, concurrency=20)
STAGES = ("title", "sha256", "links", "text")
HTML = b"<!doctype html><title>A page</title><p>Gr\xc3\xbc\xc3\x9fe <a href='next'>on</a>" + b"<p>tide" * 50

MESSAGES = {
    "plain": answer(HTML, "Content-Type: text/html; charset=utf-8", f"Content-Length: {len(HTML)}", "A: 1", "A: 2"),
    "until-the-end": answer(HTML, "Content-Type: text/html"),
    "chunked": answer(b"5\r\n<titl\r\n6\r\ne>abc<\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    "gzip": answer(gzip.compress(HTML), "Content-Encoding: gzip", "Content-Type: text/html"),
    "gzip-chunked": answer(
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(gzip.compress(HTML, mtime=0)), gzip.compress(HTML, mtime=0)),
        "Content-Encoding: gzip",
        "Transfer-Encoding: chunked",
    ),
    "empty": answer(b"", "Content-Length: 0", status="204 No Content"),
    "latin-1": answer("caf\xe9".encode("latin-1"), "Content-Type: text/plain; charset=latin-1", "X: caf\xe9"),
    "not-found": answer(b"gone", "Content-Length: 4", status="404 Not Found"),
    "failing": answer(b"oh", "Content-Length: 2", status="501 Not Implemented"),
    "bad-coding": answer(b"\x1f\x8b garbage", "Content-Encoding: gzip"),
    "too-large": answer(b"x" * 100_001),
    "bomb": answer(gzip.compress(bytes(1 << 24)), "Content-Encoding: gzip"),
    "just-fits": answer(b"x" * 100_000),
    "cut-chunks": answer(b"5\r\nab", "Transfer-Encoding: chunked"),
    "no-http": b"<html>",
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer(b"ok", "Content-Length: 2"),
    "folded": b"HTTP/1.1 200 OK\r\nFolded: a\r\n  b\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.fixture
def origin() -> Iterator[RawOrigin]:
    with running_raw_origin() as running:
        yield running


def run(
    tmp_path: Path, names: Sequence[str | Path], *, stages: Sequence[str] = STAGES, **options: Any
) -> tuple[list[dict[str, Any]], int]:
    """The records of a job in one shard, as a child of a batch makes them; and how many transfers it took."""

    def work() -> tuple[list[dict[str, Any]], int]:
        inputs = Inputs([str(name) for name in names])
        engine = build_engine(SETTINGS)
        loaded = load_stages(stages, StageRules.of(SETTINGS), import_paths=True)
        (shard,) = cut(inputs.lines(), 10_000)
        done = ShardRun(shard, tmp_path / "part", tmp_path / "done")
        given = FetchOptions(**({"retries": 0, "body": "base64"} | options))
        for lot in engine.run_in_lots(done.entries(), stages=loaded, options=given):
            done.record(lot)
        assert done.is_complete
        done.finish()
        counted = engine.transport_statistics()
        return records(tmp_path / "done"), counted.transfers.started if counted else 0

    return in_a_hub_of_its_own(work)


def test_a_stored_response_has_the_record_of_a_fetch(tmp_path: Path, origin: RawOrigin) -> None:
    urls = {name: origin.serve(Script.of(message), name) for name, message in MESSAGES.items()}
    write_list(tmp_path / "urls.txt", urls.values())
    fetched, transfers = run(tmp_path, [tmp_path / "urls.txt"])
    assert transfers == len(MESSAGES)
    asked = origin.connections
    path = write_warc(tmp_path / "a.warc.gz", [(urls[name], MESSAGES[name]) for name in MESSAGES], gzip=True)
    stored, transfers = run(tmp_path, [path])
    assert transfers == 0
    assert origin.connections == asked, "nothing is contacted"
    assert {each["url"].rpartition("/")[2]: (each["error"] or {}).get("kind") for each in stored} == dict.fromkeys(
        MESSAGES
    ) | {
        "not-found": "http_status",
        "failing": "http_status",
        "bad-coding": "bad_response",
        "too-large": "body_too_large",
        "bomb": "body_too_large",
        "cut-chunks": "connection_lost",
        "no-http": "bad_response",
    }
    for before, after in zip(fetched, stored, strict=True):
        assert after.pop("attempts") == 0
        assert after.pop("id").startswith("urn:uuid:")
        assert list(after.pop("meta")) == ["warc_date"]
        assert before.pop("attempts") == 1
        assert after.pop("elapsed_s") >= 0
        del before["elapsed_s"]
        for each in (before, after):
            # Each says in words of its own where it broke.
            if each["error"] is not None and each["error"]["kind"] in ("bad_response", "connection_lost"):
                del each["error"]["message"]
        assert after == before


def test_a_redirect_is_a_page_of_its_own(tmp_path: Path) -> None:
    message = answer(b"<title>Moved</title>", "Location: http://127.0.0.1:9/", "Content-Length: 20", status="302 Found")
    coded = answer(gzip.compress(b"x"), "Location: /", "Content-Encoding: gzip", status="301 Moved")
    path = write_warc(tmp_path / "a.warc", [("http://a/x", message), ("http://a/y", coded)])
    (first, second), transfers = run(tmp_path, [path], robots="obey")
    assert transfers == 0
    assert (first["ok"], first["status"], first["final_url"]) == (True, 302, "http://a/x")
    assert first["stages"]["title"] == "Moved"
    assert (second["status"], second["bytes"]) == (301, 1)


def test_it_crosses_to_isolated_and_native_stages(tmp_path: Path) -> None:
    path = write_warc(tmp_path / "a.warc", [("http://a/x", MESSAGES["gzip"])])
    names = ("seen_in_a_process", "seen_in_a_thread")
    (got,), _ = run(tmp_path, [path], stages=[f"tests.support.stages:{name}" for name in names])
    # No charset is named, so requests takes text for latin-1.
    assert got["stages"] == {name: [200, "http://a/x", "gzip", HTML.decode("latin-1"), "GET"] for name in names}


def test_undone_codings_are_not_undone_again(tmp_path: Path) -> None:
    path = write_warc(
        tmp_path / "a.warc",
        [
            ("http://a/", answer(HTML, "Content-Encoding: gzip", "Transfer-Encoding: chunked", "Content-Length: 9")),
        ],
    )
    (got,), _ = run(tmp_path, [path])
    assert (got["ok"], got["bytes"]) == (True, len(HTML))


def test_what_was_truncated_is_taken_as_it_is(tmp_path: Path) -> None:
    data = record(answer(b"9\r\nbody", "Transfer-Encoding: chunked"), WARC_Truncated="length")
    (tmp_path / "a.warc").write_bytes(data)
    (got,), _ = run(tmp_path, [tmp_path / "a.warc"])
    assert (got["ok"], got["bytes"], got["meta"]["warc_truncated"]) == (True, 4, "length")


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "whole.warc.gz", "whole.warc.zst"])
def test_a_thousand_at_once_however_the_file_is_packed(tmp_path: Path, name: str) -> None:
    chance = random.Random(1)
    bodies = [chance.randbytes(chance.randrange(4000)) for _ in range(1000)]
    responses = [(f"http://a/{number}", answer(body)) for number, body in enumerate(bodies)]
    path = write_warc(tmp_path / name, responses, gzip=name == "a.warc.gz")
    if name == "whole.warc.gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    elif name == "whole.warc.zst":
        path.write_bytes(zstd.compress(path.read_bytes()))
    got, _ = run(tmp_path, [path, path], stages=[])
    assert [each["bytes"] for each in got] == [len(body) for body in bodies] * 2
    assert all(each["ok"] for each in got)


def test_mixed_with_requests(tmp_path: Path, origin: RawOrigin) -> None:
    url = origin.serve(Script.of(answer(b"new", "Content-Length: 3")))
    (tmp_path / "a.txt").write_text(f"{url}\nno url\n")
    path = write_warc(tmp_path / "b.warc", [(url, answer(b"stored"))])
    with open(path, "ab") as file:
        file.write(b"garbage")
    got, transfers = run(tmp_path, [path, tmp_path / "a.txt"], stages=[])
    assert [(each["index"], each["ok"], each["bytes"], each["attempts"]) for each in got] == [
        (0, True, 6, 0),
        (1, False, 0, 0),
        (2, True, 3, 1),
        (3, False, 0, 0),
    ]
    assert transfers == 1
    assert "no WARC record" in got[1]["error"]["message"]


def test_a_file_that_has_changed_since_is_a_failed_record(tmp_path: Path) -> None:
    path = write_warc(tmp_path / "a.warc", [(f"http://a/{number}", answer(b"x" * 300_000)) for number in range(2)])
    lines = list(Inputs([str(path)]).lines())

    def work(change: Any) -> list[dict[str, Any]]:
        change()
        engine = build_engine(SETTINGS)
        (shard,) = cut(lines, 10)
        done = ShardRun(shard, tmp_path / "part", tmp_path / "done")
        done.record(list(engine.run(done.entries(), stages=(), options=FetchOptions())))
        done.finish()
        return records(tmp_path / "done")

    for change in (lambda: path.write_bytes(path.read_bytes()[:-20]), lambda: path.write_bytes(b"x"), path.unlink):
        *_, last = in_a_hub_of_its_own(lambda change=change: work(change))  # type: ignore[misc]
        assert last["error"]["kind"] in ("invalid_request", "body_too_large")
    assert last["error"]["kind"] == "invalid_request"
    assert "No such file" in last["error"]["message"]
    assert msgspec.json.encode(last)
