"""What fetch-batch records, from end to end, against real servers: faults, stages, the requests as they were sent."""

from __future__ import annotations

import json
import os
import subprocess
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.support.batch import COMMAND, records, run_batch, running_batch, write_list
from tests.support.dns import in_own_network
from tests.support.nginx import serve_folder
from tests.support.origin import Origin, body_of
from tests.support.ports import refused_port
from tests.support.processes import running_process
from tests.support.site import doc_folder, doc_pages

# What each fault of the origin becomes; None is an ok record.
KINDS: dict[str, str | None] = {
    "/ok": None,
    "/html": None,
    "/gzip": None,
    "/br": None,
    "/deflate": None,
    "/no-content-length": None,
    "/big-chunked/5000": None,
    "/redirect/3": None,
    "/many-1xx/5": None,
    "/overlong": None,
    "/late-body": None,
    "/redirect-nowhere": None,
    "/status/404": "http_status",
    "/status/500": "http_status",
    "/redirect-loop": "too_many_redirects",
    "/redirect-ever": "too_many_redirects",
    "/redirect-scheme": "unsupported_scheme",
    "/redirect-bad": "bad_response",
    "/drop": "connection_lost",
    "/drop-after-headers": "connection_lost",
    "/drop-in-headers": "connection_lost",
    "/reset": "connection_lost",
    "/reset-mid-body": "connection_lost",
    "/truncate": "connection_lost",
    "/truncate-chunked": "connection_lost",
    "/bad-chunk": "bad_response",
    "/bad-status-line": "bad_response",
    "/not-http": "bad_response",
    "/bad-gzip": "bad_response",
    "/header-flood": "bad_response",
    "/big/300000": "body_too_large",
    "/gzip-bomb/300000": "body_too_large",
    "/br-bomb/300000": "body_too_large",
    "/drip/0.01": "timeout",
    "/slow-headers": "timeout",
    "/gate/never-opened": "timeout",
    "/redirect-to?url=/gate/never-opened": "timeout",
    "/stage/never-opened": "timeout",
}


def test_every_fault_is_one_record_of_its_kind(origin: Origin, tmp_path: Path) -> None:
    with refused_port() as port:
        expected: list[tuple[str, str | None]] = [(origin.url(path), kind) for path, kind in KINDS.items()]
        expected += [
            (f"http://127.0.0.1:{port}/", "connect_failed"),
            ("ftp://127.0.0.1/", "unsupported_scheme"),
            ("127.0.0.1/no-scheme", "invalid_request"),
            ("http://" + "a" * 70 + ".example/", "invalid_request"),
        ]
        # Only what never ends gets a short deadline: everything else may take as long as a slow machine needs.
        lines = [json.dumps({"url": url, "timeout_s": 0.5 if kind == "timeout" else 60}) for url, kind in expected]
        source = write_list(tmp_path / "in.jsonl", [*lines, "{not json", json.dumps({"address": "x"})])
        status, said = run_batch(source, "-o", tmp_path / "out.jsonl", "--retries", "0", "--max-body", "200000")
    got = records(tmp_path / "out.jsonl")
    assert [(record["url"], (record["error"] or {}).get("kind")) for record in got[:-2]] == expected
    assert [record["error"]["kind"] for record in got[-2:]] == ["invalid_request", "invalid_request"]
    assert [record["index"] for record in got] == list(range(len(got)))
    assert status == 1
    assert f"{len(got)} records" in said
    for record in got:
        assert record["ok"] == (record["error"] is None)
        if record["error"]:
            assert "\n" not in record["error"]["message"]
            assert "object at 0x" not in record["error"]["message"]
            assert record["error"]["message"][0] not in "(<", "no Python value"
        if record["error"] and record["error"]["kind"] == "timeout":
            assert record["error"]["message"] == "no whole answer within 0.5 s", "of the whole fetch"


def test_names_without_address_and_names_that_lead_inside(tmp_path: Path) -> None:
    """With a name server of our own, in a network of its own: no question leaves this machine."""
    zone = {
        "inside.example": ["127.0.0.1"],
        "both.example": ["93.184.216.34", "10.0.0.1"],
        "broken.example": "SERVFAIL",
    }
    names = ["nowhere.example", "broken.example", "inside.example", "both.example"]
    source = write_list(tmp_path / "urls.txt", [f"http://{name}./" for name in names])
    batch = [*COMMAND, source, "-o", tmp_path / "out.jsonl", "--deny-private", "--retries", "0", "--progress", "none"]
    with running_process(in_own_network(tmp_path, {n: [a] for n, a in zone.items()}, batch)) as process:
        assert process.wait(timeout_s=100) == 1, process.stderr
    kinds = [record["error"]["kind"] for record in records(tmp_path / "out.jsonl")]
    assert kinds == ["name_not_resolved", "name_not_resolved", "address_denied", "address_denied"], process.stderr
    assert "127.0.0.1" not in (tmp_path / "out.jsonl").read_text(), "a record does not map the inner network"


def test_a_real_site_among_faults(origin: Origin, tmp_path: Path) -> None:
    pages = doc_pages()
    faults = ["/delay/0.01", "/drop", "/truncate", "/reset", "/redirect-loop"]
    with serve_folder(doc_folder(), tmp_path / "nginx") as site:
        urls: list[str] = []
        hashes: list[str | None] = []
        for number, page in enumerate(pages):
            urls.append(site.url(page.path))
            hashes.append(page.sha256)
            if number % 5 == 0:
                urls.append(origin.url(f"{faults[number // 5 % len(faults)]}?n={number}"))
                hashes.append(None)
        # Somebody who does not speak TLS.
        urls.append(site.url("/").replace("http:", "https:"))
        hashes.append(None)
        source = write_list(tmp_path / "urls.txt", urls)
        status, _ = run_batch(
            source, "-o", tmp_path / "out.jsonl", "--stage", "sha256", "--workers", "2", "--retries", "0"
        )
    assert status == 1
    got = records(tmp_path / "out.jsonl")
    assert [record["url"] for record in got] == urls
    for record, sha256 in zip_longest(got, hashes):
        if sha256 is not None:
            assert record["stages"] == {"sha256": sha256}, record
        elif "/delay/" in record["url"]:
            assert record["ok"]
        elif record["url"].startswith("https:"):
            assert record["error"]["kind"] == "tls_failed"
        else:
            assert record["error"]["kind"] in {"connection_lost", "too_many_redirects"}
    # The files' own hashes were computed by this test; here is another opinion on some of them.
    some = pages[:20]
    out = subprocess.run(
        ["sha256sum", *(page.file for page in some)], capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[0] for line in out.splitlines()] == [page.sha256 for page in some]


def test_the_record_is_the_contract(origin: Origin, tmp_path: Path) -> None:
    line = json.dumps({"url": origin.url("/redirect/1"), "id": "a-7", "meta": {"row": [1, None]}})
    source = write_list(tmp_path / "in.jsonl", [line])
    status, _ = run_batch(source, "-o", tmp_path / "out.jsonl", "--stage", "sha256", "--body", "text")
    assert status == 0
    (record,) = records(tmp_path / "out.jsonl")
    assert list(record) == [
        "index", "id", "url", "ok", "status", "final_url", "headers", "bytes",
        "elapsed_s", "attempts", "stages", "error", "body", "meta",
    ]  # fmt: skip
    body = body_of(record["bytes"])
    assert record["final_url"] == origin.url("/redirect/0")
    assert record["bytes"] > 0
    assert record["body"] == body.decode()
    assert record["headers"]["content-type"].startswith("text/html")
    assert (record["id"], record["meta"], record["attempts"], record["error"]) == ("a-7", {"row": [1, None]}, 1, None)


def test_timing_is_in_the_record_if_asked_for(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok?1"), origin.url("/redirect/1"), origin.url("/ok?2")])
    run_batch(source, "-o", tmp_path / "out.jsonl", "--timing", "--workers", "1", "--concurrency", "1")
    timings = [record["timing"] for record in records(tmp_path / "out.jsonl")]
    assert [timing["protocol"] for timing in timings] == ["HTTP/1.1"] * 3
    assert [timing["is_reused"] for timing in timings] == [False, True, True]
    for timing in timings:
        assert timing["name_s"] <= timing["first_byte_s"] <= timing["total_s"]
    assert timings[0]["connect_s"] > 0 == timings[1]["connect_s"]


def test_each_worker_counts(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url(f"/ok?{n}") for n in range(5)])
    arguments = ["--workers", "1", "--concurrency", "1"]
    _, said = run_batch(source, "-o", tmp_path / "out.jsonl", *arguments, PERCORE_LOG_LEVEL="debug")
    assert "5 transfers (0 failed, 0 stopped), 1 connections, 0 look-ups; answers: 5 over HTTP/1.1" in said


def test_requests_are_sent_as_they_were_asked_for(origin: Origin, tmp_path: Path) -> None:
    line = json.dumps(
        {"url": origin.url("/echo"), "method": "PUT", "headers": {"x-own": "1", "X-Both": "own"}, "body": "é"}
    )
    source = write_list(tmp_path / "in.jsonl", [line])
    # Of those of one name, whatever its case, the last one counts.
    given = ["x-both: shared", "X-Shared: 0", "x-shared: 1", "X-Shared: 2"]
    options = [word for header in given for word in ("--header", header)]
    run_batch(source, "-o", tmp_path / "out.jsonl", "--stage", "json", *options)
    echo = records(tmp_path / "out.jsonl")[0]["stages"]["json"]
    assert echo["method"] == "PUT"
    assert echo["body"] == "é"
    headers = {name.lower(): value for name, value in dict(echo["headers"]).items()}
    assert (headers["x-own"], headers["x-both"], headers["x-shared"]) == ("1", "own", "2")
    assert [name for name, _ in echo["headers"]].count("x-shared") == 1


def test_retries_count_their_attempts(origin: Origin, tmp_path: Path) -> None:
    key = tmp_path.name
    urls = [
        origin.url(f"/flaky-status/{key}-a/2/503"),
        origin.url(f"/flaky-status/{key}-b/9/503"),
        origin.url("/status/404"),
    ]
    source = write_list(tmp_path / "urls.txt", urls)
    run_batch(source, "-o", tmp_path / "out.jsonl", "--retries", "2")
    assert [(record["ok"], record["attempts"]) for record in records(tmp_path / "out.jsonl")] == [
        (True, 3), (False, 3), (False, 1),
    ]  # fmt: skip


def test_cookies_live_for_one_fetch(origin: Origin, tmp_path: Path) -> None:
    urls = [origin.url("/set-cookie?name=a&value=b"), origin.url("/echo")]
    source = write_list(tmp_path / "urls.txt", urls)
    run_batch(source, "-o", tmp_path / "out.jsonl", "--stage", "json", "--concurrency", "1", "--workers", "1")
    assert "cookie" not in json.dumps(records(tmp_path / "out.jsonl")[1]["stages"]["json"]).lower()


def test_an_origin_gets_no_more_than_its_slots(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url(f"/delay/0.01?n={n}") for n in range(200)])
    run_batch(source, "-o", tmp_path / "out.jsonl", "--workers", "2", "--per-origin", "3")
    assert 1 <= origin.counts().most_in_flight <= 6
    assert origin.counts().total == 200


def test_stages_of_the_users_own(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "mystages.py").write_text("def size(page):\n    return len(page.content)\n")
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok/1234"), origin.url("/ok/5")])
    arguments = ["--stage", "mystages:size", "--stage", "tests.support.stages:fail", "--stage", "sha256"]
    status, _ = run_batch("urls.txt", "-o", "out.jsonl", *arguments, cwd=tmp_path)
    assert status == 1
    first, second = records(tmp_path / "out.jsonl")
    assert (first["stages"], second["stages"]) == ({"size": 1234}, {"size": 5})
    assert first["error"] == {
        "kind": "stage_failed",
        "message": f"ValueError: no luck with {origin.url('/ok/1234')}",
        "stage": "fail",
    }
    assert source.exists()


@pytest.mark.parametrize(("name", "message"), [("leave", "SystemExit: 3"), ("panic", "Panic: at the disco")])
def test_a_stage_that_raises_no_exception_is_a_record_too(
    origin: Origin, tmp_path: Path, name: str, message: str
) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok?poison")])
    status, said = run_batch(source, "-o", tmp_path / "out.jsonl", "--stage", f"tests.support.stages:{name}")
    assert status == 1
    assert records(tmp_path / "out.jsonl")[0]["error"] == {"kind": "stage_failed", "message": message, "stage": name}
    assert "another takes its place" not in said


@pytest.mark.parametrize("charset", ["hex", "idna", "undefined", "zlib"])
def test_a_charset_that_is_none_is_guessed(origin: Origin, tmp_path: Path, charset: str) -> None:
    line = json.dumps({"url": origin.url(f"/echo?{charset}")})
    source = write_list(tmp_path / "in.jsonl", [line])
    run_batch(source, "-o", tmp_path / "out.jsonl", "--body", "text", "--stage", "title")
    assert records(tmp_path / "out.jsonl")[0]["ok"]


def test_a_value_that_is_no_json_is_the_stages_failure(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok")])
    run_batch(source, "-o", tmp_path / "out.jsonl", "--stage", "tests.support.stages:not_json")
    error = records(tmp_path / "out.jsonl")[0]["error"]
    assert (error["kind"], error["stage"]) == ("stage_failed", "not_json")


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_each_child_has_its_own_core(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url(f"/gate/go?n={n}") for n in range(64)])
    arguments = ["--stage", "tests.support.stages:where", "--workers", "2", "--pin", "on"]
    with running_batch(source, "-o", tmp_path / "out.jsonl", *arguments) as process:
        origin.wait_waiting("go", n=16)  # 8 from each child: both are at work
        origin.open("go")
        assert process.wait() == 0
    cores = {tuple(record["stages"]["where"]) for record in records(tmp_path / "out.jsonl")}
    assert len(cores) == 2
    assert all(len(core) == 1 for core in cores)
