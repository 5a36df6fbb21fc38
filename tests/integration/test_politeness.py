"""What an origin sees of us when it asks for distance, has too much, or is dead: it counts, and nobody measures time.

Where a test is about waiting, what is waited for is an hour away: the batch is stopped, and what the origin has
counted by then is all that it was asked.
"""

from __future__ import annotations

import http.client
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.policy.breaker import PATIENT_PROBES
from tests.support.batch import records, run_batch, running_batch, write_list
from tests.support.fetch_service import fetch, fetch_service, start_fetch
from tests.support.origin import Origin, running_origin
from tests.support.ports import refused_port
from tests.support.processes import wait_until

PER_ORIGIN = 8


def run(tmp_path: Path, urls: list[str], *options: str, **env: str) -> list[dict[str, Any]]:
    """The records of a batch of one child, one for each URL."""
    write_list(tmp_path / "urls.txt", urls)
    status, said = run_batch(
        tmp_path / "urls.txt", "-o", tmp_path / "out.jsonl", "--workers", "1", *options, cwd=tmp_path, **env
    )
    assert status in (0, 1), said
    got = records(tmp_path / "out.jsonl")
    assert [record["url"] for record in got] == urls
    return got


def run_until_done(done: int, tmp_path: Path, urls: list[str], *options: str, **env: str) -> None:
    """Let a batch of one child run until so many records are there, then stop it."""
    write_list(tmp_path / "urls.txt", urls)
    arguments = [tmp_path / "urls.txt", "-o", tmp_path / "out.jsonl", "--workers", "1", "--progress", "json", *options]
    with running_batch(*arguments, cwd=tmp_path, **env) as process:
        process.wait_for_line(f'"done":{done},')
        process.signal(signal.SIGINT)
        assert process.wait() == 130, "there was more to do"


def kinds(got: list[dict[str, Any]]) -> Counter[str]:
    return Counter((record["error"] or {"kind": "ok"})["kind"] for record in got)


# --- distance --------------------------------------------------------------------------------------------------


def test_a_delay_lies_between_the_fetches_of_an_origin(origin: Origin, tmp_path: Path) -> None:
    run_until_done(1, tmp_path, [origin.url(f"/ok?n={n}") for n in range(20)], "--delay", "3600")
    assert origin.counts().total == 1


def test_a_delay_lies_before_a_repeated_attempt_too(origin: Origin, tmp_path: Path) -> None:
    urls = [origin.url("/flaky-status/again/1/503")]
    got = run(tmp_path, urls, "--delay", "3600", "--timeout", "60")
    assert (got[0]["attempts"], got[0]["status"]) == (1, 503), "its deadline is sooner than the next attempt may be"
    assert origin.counts().total == 1


def test_workers_share_the_delay(origin: Origin, tmp_path: Path) -> None:
    # Twice the delay is later than the deadline, the delay alone would not be.
    urls = [origin.url("/flaky-status/share/1/503")]
    got = run(tmp_path, urls, "--workers", "2", "--delay", "40", "--timeout", "60")
    assert (got[0]["attempts"], got[0]["status"]) == (1, 503)


def test_a_crawl_delay_is_kept_and_counts_from_robots_txt_itself(origin: Origin, tmp_path: Path) -> None:
    origin.set_robots("User-agent: percore\nDisallow: /status\nCrawl-delay: 3600")
    urls = [origin.url("/status/404"), *(origin.url(f"/ok?n={n}") for n in range(20))]
    run_until_done(1, tmp_path, urls, "--robots", "obey", PERCORE_MAX_CRAWL_DELAY_S="3600")
    assert origin.counts().requests == {"/robots.txt": 1}


def test_a_crawl_delay_has_a_cap(origin: Origin, tmp_path: Path) -> None:
    origin.set_robots("User-agent: *\nCrawl-delay: 3600")
    urls = [origin.url(f"/ok?n={n}") for n in range(5)]
    got = run(tmp_path, urls, "--robots", "obey", PERCORE_MAX_CRAWL_DELAY_S="0.01")
    assert kinds(got) == {"ok": 5}


@pytest.mark.parametrize("fault", ["retry-after/{}/3600", "retry-after-date/{}/3600", "retry-after-status/{}/503/3600"])
def test_retry_after_holds_the_whole_origin(origin: Origin, tmp_path: Path, fault: str) -> None:
    urls = [origin.url("/" + fault.format("hold")), *(origin.url(f"/ok?n={n}") for n in range(50))]
    options = ["--per-origin", "1", "--retries", "0"]
    run_until_done(1, tmp_path, urls, *options, PERCORE_MAX_RETRY_AFTER_S="86400")
    assert origin.counts().total == 1


def test_retry_after_holds_no_other_origin_and_has_a_cap(origin: Origin, tmp_path: Path) -> None:
    with running_origin() as other:
        urls = [origin.url("/retry-after/cap/3600")]
        urls += [base.url(f"/ok?n={n}") for n in range(10) for base in (origin, other)]
        got = run(tmp_path, urls, "--per-origin", "1", "--retries", "0", PERCORE_MAX_RETRY_AFTER_S="0.2")
        assert kinds(got) == {"http_status": 1, "ok": 20}


def test_an_origin_that_says_it_has_too_many_gets_fewer_at_once(origin: Origin, tmp_path: Path) -> None:
    # The first eight end with 503 in one window, which halves the eight; then four wait at the gate at most.
    urls = [origin.url(f"/status/503?n={n}") for n in range(PER_ORIGIN)]
    urls += [origin.url(f"/gate/few?n={n}") for n in range(40)]
    write_list(tmp_path / "urls.txt", urls)
    arguments = [tmp_path / "urls.txt", "-o", tmp_path / "out.jsonl", "--workers", "1", "--retries", "0"]
    with running_batch(*arguments, "--progress", "json") as process:
        process.wait_for_line(f'"done":{PER_ORIGIN},')
        origin.wait_waiting("few", PER_ORIGIN // 2)
        most = origin.counts().most_in_flight_by_path["/gate/few"]
        origin.open("few")
        assert process.wait() == 1
    assert most == PER_ORIGIN // 2
    assert kinds(records(tmp_path / "out.jsonl")) == {"http_status": PER_ORIGIN, "ok": 40}


# --- dead origins ----------------------------------------------------------------------------------------------


def test_a_dead_host_costs_few_attempts_and_no_line(tmp_path: Path) -> None:
    with refused_port() as port:
        urls = [f"http://127.0.0.1:{port}/{n}" for n in range(2000)]
        got = run(tmp_path, urls, PERCORE_BREAKER_COOL_DOWN_S="0.05")
    assert set(kinds(got)) == {"connect_failed", "circuit_open"}
    # Eight may be under way when it opens, each then has its probes; a probe may come again while the rest is refused.
    assert sum(record["attempts"] for record in got) < 40
    assert "connect_failed" in next(r["error"]["message"] for r in got if r["error"]["kind"] == "circuit_open")
    assert all(record["attempts"] == 0 for record in got if record["error"]["kind"] == "circuit_open")


def test_an_origin_that_hangs_up_on_everybody_costs_few_attempts(origin: Origin, tmp_path: Path) -> None:
    urls = [origin.url(f"/reset?n={n}") for n in range(2000)]
    got = run(tmp_path, urls, "--retries", "0", PERCORE_BREAKER_COOL_DOWN_S="0.05")
    assert set(kinds(got)) == {"connection_lost", "circuit_open"}
    assert origin.counts().total < 60
    assert origin.counts().total == sum(record["attempts"] for record in got)


def test_without_a_breaker_each_line_has_its_attempt(origin: Origin, tmp_path: Path) -> None:
    urls = [origin.url(f"/reset?n={n}") for n in range(100)]
    got = run(tmp_path, urls, "--retries", "0", PERCORE_BREAKER_FAILURES="0")
    assert kinds(got) == {"connection_lost": 100}
    assert origin.counts().total == 100


def test_an_origin_that_comes_back_in_time_costs_no_further_line(origin: Origin, tmp_path: Path) -> None:
    dropped = 5 * 4 + PATIENT_PROBES - 1  # until it opens, and all but the last probe for which the rest waits
    urls = [origin.url(f"/flaky/back/{dropped}?n={n}") for n in range(200)]
    options = ["--per-origin", "1", "--retries", "0"]
    got = run(tmp_path, urls, *options, PERCORE_BREAKER_COOL_DOWN_S="0.05")
    assert kinds(got) == {"connection_lost": dropped, "ok": 200 - dropped}


def test_a_dead_origin_does_not_hold_up_a_living_one(origin: Origin, tmp_path: Path) -> None:
    with refused_port() as port:
        urls = [url for n in range(300) for url in (f"http://127.0.0.1:{port}/{n}", origin.url(f"/ok?n={n}"))]
        got = run(tmp_path, urls, PERCORE_BREAKER_COOL_DOWN_S="0.05")
    assert kinds(got)["ok"] == 300
    assert origin.counts().total == 300


# --- robots.txt ------------------------------------------------------------------------------------------------


def test_robots_txt_is_asked_for_once_for_all(origin: Origin, tmp_path: Path) -> None:
    origin.set_robots("User-agent: *\nDisallow: /html\n\nUser-agent: percore\nDisallow: /ok/1")
    urls = [origin.url(f"/ok/{n}") for n in range(90)] + [origin.url(f"/html/{n}") for n in range(10)]
    got = run(tmp_path, urls, "--robots", "obey")
    assert kinds(got) == {"ok": 89, "robots_denied": 11}
    denied = next(record for record in got if not record["ok"])
    assert denied["url"] == origin.url("/ok/1")
    assert (denied["attempts"], denied["status"]) == (0, None)
    assert denied["error"]["message"] == "the origin's robots.txt disallows it for 'percore'"
    counts = origin.counts()
    assert counts.requests["/robots.txt"] == 1
    assert counts.total == 90
    assert origin.hits()[0].path == "/robots.txt"


def test_robots_txt_is_not_asked_for_by_default(origin: Origin, tmp_path: Path) -> None:
    origin.set_robots("User-agent: *\nDisallow: /")
    assert kinds(run(tmp_path, [origin.url("/ok")])) == {"ok": 1}
    assert origin.counts().total == 1


@pytest.mark.parametrize(
    ("play", "hits", "kind"),
    [
        ("/status/403", 1, "ok"),
        ("/status/500", 3, "robots_denied"),
        ("/flaky-status/robots/2/503", 3, "ok"),
        ("/reset", 3, "robots_denied"),
        ("/redirect-bad", 1, "robots_denied"),
        ("/redirect-loop", 11, "ok"),
        ("/redirect/5", 1, "ok"),
    ],
)
def test_what_stands_in_for_robots_txt(origin: Origin, tmp_path: Path, play: str, hits: int, kind: str) -> None:
    origin.set_robots(play=play)
    got = run(tmp_path, [origin.url(f"/ok?n={n}") for n in range(5)], "--robots", "obey")
    assert kinds(got) == {kind: 5}
    counts = origin.counts().requests
    assert counts["/robots.txt"] == hits
    assert counts.get("/ok", 0) == (5 if kind == "ok" else 0)


def test_a_robots_txt_that_never_comes_is_told_with_the_limit(origin: Origin, tmp_path: Path) -> None:
    origin.set_robots(play="/gate/never-opened")
    (record,) = run(tmp_path, [origin.url("/ok")], "--robots", "obey", "--timeout", "0.5", "--retries", "0")
    said = "robots.txt could not be had: timeout: no whole answer within 0.5 s"
    assert record["error"] == {"kind": "robots_denied", "message": said}


def test_an_origin_that_is_not_there_fails_as_it_would_without_robots(tmp_path: Path) -> None:
    with refused_port() as port:
        urls = [f"http://127.0.0.1:{port}/{n}" for n in range(100)]
        got = run(tmp_path, urls, "--robots", "obey", "--retries", "0")
    assert kinds(got) == {"connect_failed": 100}
    assert got[0]["error"]["message"].startswith("robots.txt could not be had: ")


def test_robots_is_under_the_address_policy(origin: Origin, tmp_path: Path) -> None:
    got = run(tmp_path, [origin.url("/ok")], "--robots", "obey", "--deny-private")
    assert kinds(got) == {"address_denied": 1}
    assert origin.counts().total == 0


def test_other_rules_are_another_job(origin: Origin, tmp_path: Path) -> None:
    urls = [origin.url(f"/gate/manifest?n={n}") for n in range(3)]
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    arguments = [tmp_path / "urls.txt", "-o", tmp_path / "out.jsonl", "--workers", "1"]
    with running_batch(*arguments, "--drain-timeout", "0") as process:
        origin.wait_waiting("manifest", 3)
        process.signal(signal.SIGINT)
        assert process.wait() == 130
    origin.open("manifest")
    status, said = run_batch(*arguments, "--robots", "obey")
    assert status == 2
    assert "of another robots" in said
    assert run_batch(*arguments, "--delay", "0.001", PERCORE_BREAKER_FAILURES="7")[0] == 0, "pace is no other job"


# --- the service -----------------------------------------------------------------------------------------------


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[http.client.HTTPConnection]:
    with fetch_service(tmp_path, PER_ORIGIN="100", DELAY_S="0") as service, service.connection() as connection:
        yield connection


def test_a_call_may_ask_for_robots(connection: http.client.HTTPConnection, origin: Origin) -> None:
    origin.set_robots(play="/gate/robots")
    body = {"requests": [origin.url(f"/ok?n={n}") for n in range(100)], "options": {"robots": "obey"}}
    start_fetch(connection, body)
    origin.wait_waiting("robots", 1)
    wait_until(lambda: origin.counts().in_flight == 1, "all wait for one")
    origin.open("robots")
    lines = connection.getresponse().read().splitlines()
    assert len(lines) == 100
    assert origin.counts().requests == {"/robots.txt": 1, "/ok": 100}
    origin.set_robots("User-agent: *\nDisallow: /")
    assert kinds(fetch(connection, {"url": origin.url("/ok")})) == {"ok": 1}, "who does not ask is not asked for"


def test_callers_that_leave_end_the_fetch_of_robots_txt(connection: http.client.HTTPConnection, origin: Origin) -> None:
    origin.set_robots(play="/gate/never")
    start_fetch(connection, {"requests": [origin.url("/ok")] * 5, "options": {"robots": "obey"}})
    origin.wait_waiting("never", 1)
    connection.close()
    wait_until(lambda: origin.counts().in_flight == 0, "nobody waits for it any more")
    assert origin.counts().requests == {"/robots.txt": 1}


# --- behind a redirect -----------------------------------------------------------------------------------------


@pytest.fixture
def other() -> Iterator[Origin]:
    with running_origin() as running:
        yield running


def behind(origin: Origin, target: str, count: int) -> list[str]:
    """URLs of `origin` that lead to `target`."""
    return [origin.url(f"/redirect-to?url={target}&n={n}") for n in range(count)]


def test_where_redirects_lead_has_permits_of_its_own(origin: Origin, other: Origin, tmp_path: Path) -> None:
    urls = behind(origin, other.url("/delay/0.01"), 40)
    got = run(tmp_path, urls, "--per-origin", "2", "--concurrency", "40")
    assert kinds(got) == {"ok": 40}
    assert {record["attempts"] for record in got} == {1}
    assert other.counts().most_in_flight <= 2


def test_two_origins_that_lead_to_each_other_do_not_lock_up(origin: Origin, other: Origin, tmp_path: Path) -> None:
    urls = [*behind(origin, other.url("/ok"), 20), *behind(other, origin.url("/ok"), 20)]
    assert kinds(run(tmp_path, urls, "--per-origin", "1", "--concurrency", "40")) == {"ok": 40}


def test_where_redirects_lead_is_asked_for_leave(origin: Origin, other: Origin, tmp_path: Path) -> None:
    other.set_robots("User-agent: *\nDisallow: /ok")
    got = run(tmp_path, behind(origin, other.url("/ok"), 3), "--robots", "obey")
    assert kinds(got) == {"robots_denied": 3}
    assert other.counts().requests == {"/robots.txt": 1}


def test_where_redirects_lead_is_left_alone_when_it_is_dead(origin: Origin, tmp_path: Path) -> None:
    with refused_port() as port:
        dead = f"http://127.0.0.1:{port}/"
        got = run(tmp_path, [*behind(origin, dead, 400), origin.url("/ok")], "--retries", "0")
    assert got[-1]["ok"], "it is not the first origin's failure"
    found = kinds(got[:-1])
    assert found["circuit_open"] > found["connect_failed"]
    assert found.total() == 400


def test_a_hop_is_repeated_by_itself(origin: Origin, other: Origin, tmp_path: Path) -> None:
    got = run(tmp_path, behind(origin, other.url("/flaky-status/hop/1/503"), 1), "--retries", "2")
    assert (got[0]["ok"], got[0]["attempts"]) == (True, 2)
    assert origin.counts().total == 1
    assert other.counts().total == 2
