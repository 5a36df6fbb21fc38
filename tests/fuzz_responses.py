"""Random answers, fetched every way there is: only known failures may come out, in time, with nothing left behind.

    bin/python -m tests.fuzz_responses --minutes 5          goes on from seed 0
    bin/python -m tests.fuzz_responses --seed 1234          one answer, shown and fetched

An answer is a pure function of its seed: half are mutations of proper answers, half are put together from a grammar
in which every part may be wrong. They come from raw sockets in this process; nothing leaves the loopback interface,
since no name has an address here and no other port may be contacted.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import socket
import sys
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_network

import gevent
import gevent.pool
import requests

from app.errors import FetchError
from app.fetching import CurlAdapter, Session
from app.hub.per_hub import close_this_hub
from app.model.outcome import ErrorKind
from app.policy.addresses import AddressPolicy
from tests.support.curl_on_hub import use_names
from tests.support.raw_origin import RawOrigin, Script, running_raw_origin

_HANG_S = 30.0
_AT_ONCE = 16
_MAX_BODY_BYTES = 100_000

_TEXT = b"The tide comes in and the tide goes out.\n" * 20
_ZIPPED = gzip.compress(_TEXT, mtime=0)

_PROPER = [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 820\r\n\r\n" + _TEXT,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, harbour!\r\n0\r\nX-T: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(_ZIPPED) + _ZIPPED,
    b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\n" + _TEXT,
    b"HTTP/1.1 302 Found\r\nLocation: /other\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 204 No Content\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nno\n",
]

_TOKENS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b":",
        b" ",
        b"\t",
        b";",
        b",",
        b"\r\n\r\n",
        b"\xff",
        b"\xc3\xa9",
        b"%00",
        b"-",
        b"+",
    ),
    *(b"0", b"-1", b"99999999999999999999", b"0x10", b"HTTP/1.1 ", b"HTTP/2 ", b"HTTP/1.1 200 OK\r\n", b"chunked"),
    *(b"Content-Length: ", b"Transfer-Encoding: ", b"Content-Encoding: ", b"Location: ", b"Set-Cookie: ", b"gzip"),
    *(b"deflate", b"br", b"zstd", b"identity", b"7fffffffffffffff", b"ffffffffffffffffff", b"A" * 2_000),
]


def script_of(seed: int) -> Script:
    """The answer of that seed."""
    chance = random.Random(seed)
    data = _mutated(chance) if chance.random() < 0.5 else _composed(chance)
    ending = chance.choices(["close", "keep", "reset", "hold"], [70, 15, 10, 5])[0]
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice([0, 0, 0, 1, 3])))
    pieces = tuple(data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True))
    return Script(pieces, ending)  # type: ignore[arg-type]


def _mutated(chance: random.Random) -> bytes:
    data = bytearray(chance.choice(_PROPER))
    for _ in range(chance.choice([0, 1, 1, 2, 3, 8])):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0 if place < len(data):
                data[place] = chance.randrange(256)
            case 1:
                data[place:place] = chance.choice(_TOKENS)
            case 2:
                del data[place : place + chance.choice([1, 2, 10, 1_000])]
            case 3:
                data[place:place] = data[place : place + chance.choice([1, 20, 200])]
            case 4:
                data[place:] = chance.choice(_PROPER)[place:]
            case _:
                data[place:place] = chance.randbytes(chance.choice([1, 3, 100]))
    return bytes(data)


def _composed(chance: random.Random) -> bytes:
    one = chance.choice
    body = one([b"", b"ok", _TEXT, _TEXT * 200, _ZIPPED, zlib.compress(_TEXT), chance.randbytes(50), bytes(200_000)])
    lines: list[bytes] = []
    if chance.random() < 0.1:
        lines.append(one([b"", b"garbage", b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 103 Hints\r\nLink: a\r\n"]))
    version = one([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/2", b"HTTP/1.9", b"http/1.1", b"ICY", b""])
    status = one(
        [b"200"] * 6 + [b"204", b"206", b"304", b"302", b"301", b"404", b"500", b"101", b"000", b"999", b"2x0"]
    )
    lines.append(version + b" " + status + one([b" OK", b"", b" ", b" \xe9\0", b" " + b"r" * 3_000]))
    if status[:1] == b"3":
        targets = (
            b"/other",
            b"",
            b"//",
            b"http://",
            b"ftp://127.0.0.1/",
            b"http://[::1",
            b"?q",
            b"http://a b/",
            b"\xff",
        )
        lines.append(b"Location: " + one([*targets, b"http://nowhere.invalid/", b"http://127.0.0.1:1/", b"mailto:x"]))
    if chance.random() < 0.4:
        coding = one([b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"unheard-of", b",".join([b"gzip"] * 9)])
        lines.append(b"Content-Encoding: " + coding)
    framing = chance.randrange(5)
    if framing in (0, 1, 3):
        length = str(len(body)).encode()
        lengths = [length] * 5 + [b"-1", b"", b"5, 5", b"x", b"0", length + b"0", b"9" * 25, b" " + length + b" "]
        lines.append(b"Content-Length: " + one(lengths))
    if framing in (2, 3):
        lines.append(
            b"Transfer-Encoding: " + one([b"chunked"] * 6 + [b"gzip, chunked", b"chunked, gzip", b"CHUNKED", b"x"])
        )
        body = _chunked(chance, body)
    odd = [b"X-A: b", b"Set-Cookie: a=b; Max-Age=x", b"no colon", b" folded", b": none", b"X\0: y", b"A:"]
    headers = lines[1:] + chance.choices(odd[:2] if chance.random() < 0.7 else odd, k=one([0, 1, 2, 5, 5, 500]))
    chance.shuffle(headers)
    lines[1:] = headers
    end = one([b"\r\n"] * 9 + [b"\n"])
    return end.join(lines) + end + end + body


def _chunked(chance: random.Random, body: bytes) -> bytes:
    data = b""
    while body:
        piece, body = body[: (size := chance.choice([1, 5, 1_000, 70_000]))], body[size:]
        said = b"%x" % len(piece)
        if chance.random() < 0.03:
            said = chance.choice(
                [b"", b"-1", b"zz", b"0", said + b"0", b"f" * 20, said + b";" + b"e" * 500, b" " + said]
            )
        data += said + chance.choice([b"\r\n"] * 30 + [b"\n"]) + piece + chance.choice([b"\r\n"] * 30 + [b"", b"\n"])
    return data + chance.choice(
        [b"0\r\n\r\n"] * 6 + [b"0\r\nX-T: 1\r\n\r\n", b"", b"0\r\n", b"0\r\nHTTP/x: 1\r\n\r\n", b"00\n\n"]
    )


class Fuzzer:
    """Fetches seeds from `origin`. `seen` counts what came of them; `faults` says what should not have."""

    def __init__(self, origin: RawOrigin) -> None:
        self._origin = origin
        policy = AddressPolicy(allow=(ip_network("127.0.0.1/32"),), ports=frozenset({origin.port}))
        self._session = Session(policy=policy, max_body_bytes=_MAX_BODY_BYTES, max_redirects=3)
        assert self._session._curl is not None
        transport = self._session._curl.transport()
        use_names(transport, _no_name)
        self._transport = transport
        self._stock = requests.Session()
        self._stock.trust_env = False
        self._stock.mount("http://", CurlAdapter(policy=policy))
        self.seen: Counter[str] = Counter()
        self.faults: list[str] = []

    def run(self, seeds: Iterable[int]) -> None:
        """All of them, some at a time."""
        pool = gevent.pool.Pool(_AT_ONCE)
        for seed in seeds:
            pool.spawn(self._try, seed)
        pool.join()
        transfers = self._transport.statistics().transfers
        if transfers.in_flight or transfers.sockets:
            self.faults.append(f"left behind: {transfers}")

    def _try(self, seed: int) -> None:
        limit_s = 0.3 if script_of(seed).ending in ("hold", "keep") else 10.0
        url = f"{self._origin.base}/{seed}"
        for way in (self._fetch, self._whole, self._stream):
            word = way.__name__[1:]
            try:
                with gevent.Timeout(_HANG_S):
                    came = way(url, limit_s)
            except gevent.Timeout:
                self.faults.append(f"seed {seed}, {word}: hangs")
            except Exception as error:
                if _is_of_requests(error):
                    self.seen[f"{word} (requests' own redirects: {type(error).__name__})"] += 1
                    continue
                self.faults.append(f"seed {seed}, {word}: {type(error).__name__}: {str(error)[:200]}")
            else:
                self.seen[f"{word} {came}"] += 1

    def _fetch(self, url: str, limit_s: float) -> str:
        try:
            page = self._session.fetch(url, timeout_s=limit_s)
        except FetchError as error:
            if error.kind is ErrorKind.INTERNAL_ERROR:
                raise
            return error.kind.value
        if len(page.body) > _MAX_BODY_BYTES:
            raise AssertionError(f"a body of {len(page.body)} bytes")
        str(page.headers), page.text, page.cookies, page.reason, page.raw
        return "ok"

    def _whole(self, url: str, limit_s: float) -> str:
        try:
            response = self._stock.get(url, timeout=limit_s, allow_redirects=False)
            response.content, response.headers, response.cookies  # noqa: B018
        except requests.RequestException as error:
            return type(error).__name__
        return "ok"

    def _stream(self, url: str, limit_s: float) -> str:
        try:
            with self._stock.get(url, timeout=limit_s, allow_redirects=False, stream=True) as response:
                for _ in response.iter_content(777):
                    pass
        except requests.RequestException as error:
            return type(error).__name__
        return "ok"


def _is_of_requests(error: Exception) -> bool:
    """Whether it was raised where requests works out a redirect's target: no transport has a say in that, and stock
    requests lets UnicodeDecodeError, ValueError and urllib3's own through.
    """
    return any(frame.name == "resolve_redirects" for frame in traceback.extract_tb(error.__traceback__))


def _no_name(name: str) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, f"{name} has no address here")


def fuzz(seeds: Iterable[int]) -> Fuzzer:
    """Fetch those seeds; see Fuzzer for what comes back."""
    with running_raw_origin(make=lambda name: script_of(int(name) if name.isdigit() else 0)) as origin:
        fuzzer = Fuzzer(origin)
        try:
            fuzzer.run(seeds)
        finally:
            close_this_hub()
    return fuzzer


def main() -> int:
    """Fuzz for some minutes, or show one seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_responses", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        print(repr(script_of(arguments.seed))[:3_000])
        fuzzer = fuzz([arguments.seed])
        print(dict(fuzzer.seen), *fuzzer.faults, sep="\n")
        return bool(fuzzer.faults)
    end_s = time.monotonic() + 60 * arguments.minutes
    seed, faults, seen = arguments.from_seed, 0, Counter[str]()
    while time.monotonic() < end_s:
        fuzzer = fuzz(range(seed, seed + 1_000))
        seed += 1_000
        seen += fuzzer.seen
        faults += len(fuzzer.faults)
        for fault in fuzzer.faults:
            print(fault, flush=True)
    print(f"{seed - arguments.from_seed} answers, {len(os.listdir('/proc/self/fd'))} descriptors open, {faults} faults")
    for word, count in sorted(seen.items()):
        print(f"{count:8} {word}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
