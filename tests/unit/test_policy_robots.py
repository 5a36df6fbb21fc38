from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protego import Protego

from app.model.outcome import ErrorKind
from app.policy.robots import (
    MAX_ROBOTS_BYTES,
    TTL_S,
    UNREACHABLE_TTL_S,
    RobotsRules,
    robots_url,
    rules_of_answer,
    rules_of_failure,
)
from app.policy.urls import origin_of

SITE = "http://site.example"


def read(text: str | bytes) -> RobotsRules:
    return rules_of_answer(200, text.encode() if isinstance(text, str) else text)


def allows(rules: RobotsRules, path: str) -> bool:
    return rules.denial_of(SITE + path) is None


@pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 410, 451])
def test_no_robots_txt_allows_all(status: int) -> None:
    rules = rules_of_answer(status, b"User-agent: *\nDisallow: /")
    assert allows(rules, "/x")
    assert rules.ttl_s == TTL_S


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
def test_a_server_in_trouble_denies_all_for_a_while(status: int) -> None:
    rules = rules_of_answer(status, b"")
    assert rules.denial_of(SITE) == (
        ErrorKind.ROBOTS_DENIED,
        f"robots.txt answered {status}, so nothing may be fetched for now",
    )
    assert rules.ttl_s == UNREACHABLE_TTL_S


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_no_answer_denies_all_for_a_while(kind: ErrorKind) -> None:
    rules = rules_of_failure(kind, "why")
    if kind is ErrorKind.TOO_MANY_REDIRECTS:
        assert allows(rules, "/x")
        return
    denied_as, message = rules.denial_of(SITE) or (None, "")
    keeps_its_kind = kind in {"name_not_resolved", "address_denied", "connect_failed", "tls_failed", "circuit_open"}
    assert denied_as is (kind if keeps_its_kind else ErrorKind.ROBOTS_DENIED)
    assert message.startswith("robots.txt could not be had: ")
    assert message.endswith("why")
    assert rules.ttl_s == (0.0 if kind is ErrorKind.CIRCUIT_OPEN else UNREACHABLE_TTL_S)


def test_what_is_lacking_here_denies_all_for_the_moment_only() -> None:
    rules = rules_of_failure(ErrorKind.CONNECT_FAILED, "why", is_local=True)
    assert rules.denial_of(SITE) == (ErrorKind.CONNECT_FAILED, "robots.txt could not be had: why")
    assert rules.ttl_s == 0.0


def test_our_group_goes_before_the_one_for_all() -> None:
    others = "User-agent: *\nDisallow: /\n\nUser-agent: other\nAllow: /\n"
    text = others + "User-Agent: PerCore\nDisallow: /ours\nCrawl-delay: 7"
    rules = read(text)
    assert allows(rules, "/theirs")
    assert not allows(rules, "/ours/x")
    assert rules.crawl_delay_s == 7.0
    assert not allows(read(text.replace("PerCore", "percolator")), "/theirs")


@pytest.mark.parametrize(
    ("path", "is_allowed"),
    [
        ("/", True),
        ("/private", False),
        ("/private/x", False),
        ("/private/public/x", True),
        ("/a.pdf", False),
        ("/a.pdf?x=1", True),
        ("/q?session=1", False),
        ("/caf%C3%A9", False),
        ("/caf\u00e9", False),
        ("/robots.txt", True),
    ],
)
def test_paths(path: str, is_allowed: bool) -> None:
    rules = read(
        "\ufeffUser-agent: *\r\nDisallow: /private # not this\rAllow: /private/public\n"
        "Disallow: /*.pdf$\nDisallow: /*?session=\nDisallow: /caf\u00e9\nDisallow: /robots.txt\n"
    )
    assert allows(rules, path) == is_allowed


@pytest.mark.parametrize("text", ["", "<html>nothing here</html>", "Disallow: /", "User-agent: *\nDisallow:"])
def test_no_rules_allow_all(text: str) -> None:
    rules = read(text)
    assert allows(rules, "/x")
    assert rules.crawl_delay_s == 0


def test_only_the_first_500_kib_are_read_and_no_half_line() -> None:
    head = "User-agent: *\nDisallow: /first\n"
    padding = "#" * (MAX_ROBOTS_BYTES - len(head) - len("\nDisallow: /sec")) + "\n"
    text = head + padding + "Disallow: /second\nDisallow: /third\n"
    assert text[:MAX_ROBOTS_BYTES].endswith("Disallow: /sec")
    rules = read(text)
    assert not allows(rules, "/first")
    assert allows(rules, "/second")
    assert allows(rules, "/sec")
    assert rules.size_bytes == MAX_ROBOTS_BYTES
    assert allows(read("User-agent: *\nDisallow: /" + "x" * MAX_ROBOTS_BYTES), "/x")


def test_a_file_that_names_thousands_of_others_costs_no_more_than_its_length() -> None:
    agents = "".join(f"User-agent{': ' if n % 2 else ' '}a{n}{end}" for n in range(4500) for end in "\n\x0b")
    rules = read(agents + "User-agent: *\n" + "".join(f"Disallow: /{n}\n" for n in range(9000)))
    assert rules.parser is not None
    assert list(rules.parser._user_agents) == ["-", "*"]
    assert not allows(rules, "/8999")


agents = st.sampled_from(["*", "percore", "PERCORE", "per", "percore/0.1", "percore*", "other", "bot", "*bot", ""])
agent_fields = ["User-agent: ", "useragent:", "USER AGENT ", "  User-Agent :", "user \t agent ", "user  agent:"]
endings = ["", " # a: comment", " ", ": x", ":x", "\x0bDisallow: /a", "\u2028User-agent: x"]
lines = st.one_of(
    st.tuples(st.sampled_from(agent_fields), agents, st.sampled_from(endings)).map("".join),
    st.tuples(st.sampled_from(["Allow: ", "Disallow: "]), st.sampled_from(["/", "/a", "/a/b", "/*b$"])).map("".join),
    st.sampled_from(["Crawl-delay: 3", "Sitemap: http://x/", "", "nonsense"]),
)


@settings(max_examples=500)
@given(st.lists(lines, max_size=12))
def test_blanking_out_others_changes_nothing_for_us(lines: list[str]) -> None:
    text = "\n".join(lines)
    whole, rules = Protego.parse(text), read(text)
    for path in ("/", "/a", "/a/b", "/c/b"):
        assert allows(rules, path) == whole.can_fetch(SITE + path, "percore"), text
    assert rules.crawl_delay_s == (whole.crawl_delay("percore") or 0)


@given(st.binary() | st.text().map(lambda text: f"User-agent: *\n{text}".encode()), st.text())
def test_any_bytes_are_rules(body: bytes, path: str) -> None:
    rules = read(body)
    assert rules.denial_of(f"{SITE}/{path}") in (
        None,
        (ErrorKind.ROBOTS_DENIED, "the origin's robots.txt disallows it for 'percore'"),
    )
    assert 0 <= rules.crawl_delay_s < float("inf")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a/x?y", "http://a/robots.txt"),
        ("https://A:443/", "https://a/robots.txt"),
        ("https://a:80/", "https://a:80/robots.txt"),
        ("http://user:secret@a:8080/", "http://a:8080/robots.txt"),
        ("http://[::1]/", "http://[::1]/robots.txt"),
    ],
)
def test_where_it_is(url: str, expected: str) -> None:
    assert robots_url(origin_of(url)) == expected
