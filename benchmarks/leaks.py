"""Leaks: what is left after many fetches of every kind, good, failed, timed out, killed, and streams dropped unread.

--count fetches go to an origin that misbehaves in every way, --at-once of them at a time; descriptors,
greenlets, handles and memory (after malloc_trim) are looked at after each tenth. What is in flight must be back at
zero; idle connections, idle handles and memory must be at the end where they were half-way. Exits with 1 if something
was left behind.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import random
import sys
from pathlib import Path
from typing import Any

import gevent
import gevent.pool
import requests

from app.errors import FetchError
from app.fetching import CurlAdapter, Session
from app.hub.per_hub import close_this_hub
from tests.support.raw_origin import RawOrigin, Script, running_raw_origin

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2_000
_SCRIPTS = {
    "ok": Script.of(_OK, "keep"),
    "closed": Script.of(_OK, "close"),
    "cut": Script.of(_OK[:-7], "close"),
    "reset": Script.of(_OK[:-7], "reset"),
    "empty": Script.of(b"", "close"),
    "garbage": Script.of(b"garbage\r\n\r\n", "close"),
    "chunked": Script.of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "close"),
    "held": Script.of(_OK[:-7], "hold"),
    "silent": Script.of(b"", "hold"),
    "large": Script((b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n", *[b"y" * 100_000] * 30), "keep"),
    "moved": Script.of(b"HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", "keep"),
}

# Weights: most fetches of a long list are good.
_WAYS = {"ok": 60, "failed": 20, "timed_out": 3, "killed": 7, "streamed": 5, "dropped": 5}


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    parser.add_argument("--count", type=int, default=100_000, help="fetches (default 100000)")
    parser.add_argument("--at-once", type=int, default=32, help="of them in flight (default 32)")


class Mix:
    """Fetches of all kinds, drawn from a seeded chance."""

    def __init__(self, origin: RawOrigin, at_once: int) -> None:
        for name, script in _SCRIPTS.items():
            origin.serve(script, name)
        self._base = origin.base
        self._at_once = at_once
        self._chance = random.Random(1)
        self._session = Session()
        self._stock = requests.Session()
        self._stock.trust_env = False
        self._stock.mount("http://", CurlAdapter())
        self.outcomes: dict[str, int] = {}
        # In a test's process others may have left some.
        self._before = _count_objects()

    def run(self, count: int) -> None:
        """That many, and back when the last is over."""
        pool = gevent.pool.Pool(self._at_once)
        ways = self._chance.choices(list(_WAYS), list(_WAYS.values()), k=count)
        for way in ways:
            pool.spawn(self._one, way, self._chance.random())
        pool.join()

    def _one(self, way: str, chance: float) -> None:
        try:
            getattr(self, f"_{way}")(chance)
            came = "ok"
        except (FetchError, requests.RequestException) as error:
            came = type(error).__name__
        except gevent.Timeout:
            came = "Timeout"
        key = f"{way} {came}"
        self.outcomes[key] = self.outcomes.get(key, 0) + 1

    def _ok(self, chance: float) -> None:
        self._session.fetch(f"{self._base}/{'moved' if chance < 0.1 else 'ok'}", timeout_s=60.0)

    def _failed(self, chance: float) -> None:
        names = ("closed", "cut", "reset", "empty", "garbage", "chunked")
        self._session.fetch(f"{self._base}/{names[int(chance * len(names))]}", timeout_s=60.0)

    def _timed_out(self, chance: float) -> None:
        url = f"{self._base}/{'held' if chance < 0.5 else 'silent'}"
        if chance < 0.25 or chance > 0.75:
            self._session.fetch(url, timeout_s=0.01)
        else:
            with gevent.Timeout(0.01):
                self._stock.get(url, timeout=30.0)

    def _killed(self, chance: float) -> None:
        # At any instant: before the first turn, while connecting, in the head, in the body.
        url = f"{self._base}/{'large' if chance < 0.5 else 'held'}"
        victim = gevent.spawn(self._session.fetch, url, timeout_s=60.0)
        gevent.sleep(chance * 0.01 if chance > 0.1 else 0)
        victim.kill()

    def _streamed(self, chance: float) -> None:
        with self._stock.get(f"{self._base}/large", stream=True, timeout=60.0) as response:
            for _ in response.iter_content(50_000):
                if chance < 0.5:
                    break

    def _dropped(self, chance: float) -> None:
        # Neither read nor closed: the garbage collector's to find.
        response = self._stock.get(f"{self._base}/{'large' if chance < 0.7 else 'held'}", stream=True, timeout=60.0)
        if chance < 0.3:
            response.raw.read(1)
        if chance < 0.5:
            response.kept = response  # type: ignore[attr-defined]  # a cycle

    def look(self) -> dict[str, Any]:
        """What there is at this moment."""
        for _ in range(3):
            gc.collect()
            gevent.sleep(0)
        ctypes.CDLL(None).malloc_trim(0)
        statistics = CurlAdapter().transport().statistics()
        greenlets, curls = (now - before for now, before in zip(_count_objects(), self._before, strict=True))
        return {
            "in_flight": statistics.transfers.in_flight,
            "sockets": statistics.transfers.sockets,
            "greenlets": max(0, greenlets),
            "curls": max(0, curls - statistics.idle_handles),
            "idle_handles": statistics.idle_handles,
            "descriptors": len(os.listdir("/proc/self/fd")),
            "rss_mb": round(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1),
        }


def _count_objects() -> tuple[int, int]:
    """Greenlets that are alive, and easy handles."""
    gc.collect()
    objects = gc.get_objects()
    return (
        sum(isinstance(one, gevent.Greenlet) and not one.dead for one in objects),
        sum(type(one).__name__ == "Curl" for one in objects),
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures: `at` has what there was after each tenth, `left` what should not be there at the end."""
    with running_raw_origin() as origin:
        mix = Mix(origin, arguments.at_once)
        at = []
        for tenth in range(1, 11):
            mix.run(arguments.count // 10)
            at.append({"percent": tenth * 10, **mix.look()})
            sys.stderr.write(f"{at[-1]}\n")
        close_this_hub()
    return {"count": arguments.count, "at": at, "outcomes": mix.outcomes, "left": left_behind(at[4], at[-1])}


def left_behind(first: dict[str, Any], last: dict[str, Any]) -> list[str]:
    """What is there that should not be, in words; empty if nothing is."""
    must_be_zero = [f"{last[name]} {name}" for name in ("in_flight", "sockets", "greenlets", "curls") if last[name]]
    # Idle connections and idle handles come to as many as were ever in flight at once.
    more = [
        f"{last[name] - first[name]} more {name}"
        for name, room in (("idle_handles", 40), ("descriptors", 80), ("rss_mb", 15))
        if last[name] - first[name] > room
    ]
    return must_be_zero + more


def table(figures: dict[str, Any]) -> str:
    """For people."""
    names = list(figures["at"][0])
    lines = [f"{figures['count']:,} fetches, Python {figures['python']}", "".join(f"{name:>13}" for name in names)]
    lines += ["".join(f"{row[name]:>13}" for name in names) for row in figures["at"]]
    lines += [f"{count:>8} {what}" for what, count in sorted(figures["outcomes"].items())]
    lines.append("left behind: " + (", ".join(figures["left"]) or "nothing"))
    return "\n".join(lines) + "\n"
