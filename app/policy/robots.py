"""What a robots.txt allows us (RFC 9309), and for how long we may go by it. Pure: an answer in, rules out.

The law, by section of RFC 9309:

- 2.3.1.1  a 2xx answer is read: longest match wins, allow before disallow, `*` and `$` (2.2.2, 2.2.3), for our product
  token, or for `*` where no group names it. Only the first 500 KiB count, up to a line's end (2.5).
- 2.3.1.3  other statuses below 500 mean that there is none: all is allowed. 429 is the exception, which says that we
  ask too much: it is taken for a server's error. More redirects than are followed count as none, too (2.3.1.2).
- 2.3.1.4  a server's error, or no answer at all: all is disallowed, and it is asked for again a minute later.
- 2.4  what was read is used for 24 hours at most.

Crawl-delay is not in the RFC, but widely written; the group that applies to us may have one.
"""

from __future__ import annotations

import re

import msgspec
from protego import Protego

from app.model.outcome import ErrorKind
from app.policy.urls import Origin

PRODUCT_TOKEN = "percore"  # noqa: S105

MAX_ROBOTS_BYTES = 500 * 1024
TTL_S = 24 * 3600.0
UNREACHABLE_TTL_S = 60.0

# What would have failed the request itself in the same way, and says more than that robots.txt could not be had.
_ORIGINS_OWN_KINDS = frozenset(
    {
        ErrorKind.NAME_NOT_RESOLVED,
        ErrorKind.ADDRESS_DENIED,
        ErrorKind.CONNECT_FAILED,
        ErrorKind.TLS_FAILED,
        ErrorKind.CIRCUIT_OPEN,
    }
)

# As generous about spelling as the parser is: with a colon, or with a space and then no colon that reads as one.
_AGENT = re.compile(r"\s*(?:user[- ]?agent\s*:|user(?:-|\s+)?agent\s+(?=[^:]*(?:$|:\S)))", re.IGNORECASE)


class RobotsRules(msgspec.Struct, frozen=True):
    """What one robots.txt says to us.

    parser         None where all is allowed or all denied
    denial         why all is denied, and of which kind that makes a request's failure; None where it is not
    crawl_delay_s  0 for none
    ttl_s          for how long these may be used
    size_bytes     of the file, for whoever keeps them
    """

    parser: Protego | None = None
    denial: tuple[ErrorKind, str] | None = None
    crawl_delay_s: float = 0.0
    ttl_s: float = TTL_S
    size_bytes: int = 0

    def denial_of(self, url: str) -> tuple[ErrorKind, str] | None:
        """Why `url` may not be fetched, as kind and message; None when it may."""
        if self.denial is not None:
            return self.denial
        if self.parser is None or self.parser.can_fetch(url, PRODUCT_TOKEN):
            return None
        return ErrorKind.ROBOTS_DENIED, f"the origin's robots.txt disallows it for {PRODUCT_TOKEN!r}"


ALLOW_ALL = RobotsRules()


def robots_url(origin: Origin) -> str:
    """Where the origin's robots.txt is (2.3), without a port that goes without saying."""
    return str(origin).removesuffix(":80" if origin.scheme == "http" else ":443") + "/robots.txt"


def rules_of_answer(status: int, body: bytes) -> RobotsRules:
    """The rules that a final answer for /robots.txt stands for. Takes up to 0.2 s for the largest file."""
    if 200 <= status < 300:
        return _read(body)
    if status >= 500 or status == 429:
        message = f"robots.txt answered {status}, so nothing may be fetched for now"
        return RobotsRules(denial=(ErrorKind.ROBOTS_DENIED, message), ttl_s=UNREACHABLE_TTL_S)
    return ALLOW_ALL


def rules_of_failure(kind: ErrorKind, message: str, *, is_local: bool = False) -> RobotsRules:
    """The rules when no answer came for /robots.txt. is_local: for want of something here, so not to be kept."""
    if kind is ErrorKind.TOO_MANY_REDIRECTS:
        return ALLOW_ALL
    if kind in _ORIGINS_OWN_KINDS:
        denial = (kind, f"robots.txt could not be had: {message}")
    else:
        denial = (ErrorKind.ROBOTS_DENIED, f"robots.txt could not be had: {kind}: {message}")
    # An open circuit has a time of its own, which may be shorter.
    is_kept = kind is not ErrorKind.CIRCUIT_OPEN and not is_local
    return RobotsRules(denial=denial, ttl_s=UNREACHABLE_TTL_S if is_kept else 0.0)


def _read(body: bytes) -> RobotsRules:
    text = _first_lines(body).decode("utf-8", "replace").removeprefix("\ufeff")
    parser = Protego.parse("\n".join(map(_blank_out_others, text.splitlines())))
    delay_s = parser.crawl_delay(PRODUCT_TOKEN) or 0.0
    return RobotsRules(parser, crawl_delay_s=delay_s, size_bytes=min(len(body), MAX_ROBOTS_BYTES))


def _first_lines(body: bytes) -> bytes:
    """The first 500 KiB, without a last line that was cut: half a path would disallow more than the whole."""
    if len(body) <= MAX_ROBOTS_BYTES:
        return body
    first = body[:MAX_ROBOTS_BYTES]
    return first[: max(first.rfind(b"\n"), first.rfind(b"\r")) + 1]


def _blank_out_others(line: str) -> str:
    """An agent line that is not for us becomes the same as all others such, so that groups still begin and end there.

    A file may name thousands, and the parser would keep every rule once for each of them.
    """
    agent = _AGENT.match(line.partition("#")[0])
    if agent is None:
        return line
    # The parser takes the beginning of a token for the whole, and wildcards out; what is empty then is for all.
    name = agent.string[agent.end() :].strip().lower().replace("*", "")
    return line if PRODUCT_TOKEN.startswith(name) else "User-agent: -"
