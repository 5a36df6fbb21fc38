"""The cache's files as the hub uses them: read from memory or aside, marked as used, evicted beside the work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest
from gevent import get_hub

from app.fetching.cache_store import CacheStore
from app.fetching.turnstile import Turnstile
from app.files.cache_folder import CacheFolder, open_folder
from tests.support.hubs import hub_until

NAMES = [f"{number:02x}{number:030x}" for number in range(256)]
NOW_S = 1_800_000_000.0


class Store:
    """A store under a clock of ours. warned: what it said."""

    def __init__(self, path: Path, limit_bytes: int = 10**9) -> None:
        open_folder(path)
        self.now_s = NOW_S
        self.warned: list[str] = []
        self.files = CacheFolder(path)
        self.store = CacheStore(path, limit_bytes, writers=1, warn=self.warned.append, wall_s=lambda: self.now_s)

    def used_at_s(self, name: str) -> float:
        return Path(self.files.path(name)).stat().st_mtime

    def used_bytes(self) -> int:
        paths = [Path(self.files.path(name)) for name in NAMES]
        return sum(path.stat().st_blocks * 512 for path in paths if path.exists())


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Store]:
    return lambda **options: Store(tmp_path, **options)


@pytest.mark.parametrize("size_bytes", [0, 5, 256 * 1024, 256 * 1024 + 1, 3_000_000])
def test_what_is_written_is_read(make: Callable[..., Store], size_bytes: int) -> None:
    store, data = make().store, os.urandom(size_bytes)
    assert store.read(NAMES[1]) is None
    assert store.write(NAMES[1], [data[:3], data[3:]])
    assert store.read(NAMES[1]) == data
    store.remove(NAMES[1])
    assert store.read(NAMES[1]) is None


def test_what_is_not_in_memory_is_read_aside(make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch) -> None:
    made = make()
    made.store.write(NAMES[1], [b"x" * 10_000])
    turned: list[int] = []
    # As the kernel says it, of what it would have to fetch first.
    for answer in (BlockingIOError(11, "again"), OSError(95, "not supported"), 4096):

        def not_in_memory(*_: object, answer: object = answer) -> object:
            if isinstance(answer, OSError):
                raise answer
            return answer

        monkeypatch.setattr(os, "preadv", not_in_memory)
        get_hub().loop.run_callback(turned.append, 1)
        assert made.store.read(NAMES[1]) == b"x" * 10_000
    assert len(turned) == 3, "the hub went on meanwhile"
    assert not made.warned


def test_it_is_marked_as_used_now_and_then(make: Callable[..., Store]) -> None:
    made = make()
    made.store.write(NAMES[1], [b"x"])
    os.utime(made.files.path(NAMES[1]), (NOW_S, NOW_S))
    for after_s, marked_s in [(599, NOW_S), (601, NOW_S + 601), (1100, NOW_S + 601)]:
        made.now_s = NOW_S + after_s
        made.store.read(NAMES[1])
        assert made.used_at_s(NAMES[1]) == marked_s


def test_it_stays_within_its_size(make: Callable[..., Store]) -> None:
    made = make(limit_bytes=1_000_000)
    for name in NAMES:
        assert made.store.write(name, [os.urandom(20_000)])
        # It is done beside: here it is let come to its end each time.
        hub_until(lambda: not made.store.is_evicting, "the end of an eviction")
        assert made.used_bytes() <= 1_000_000 + 30_000
    assert made.used_bytes() > 800_000
    assert not made.warned


def test_what_was_there_before_counts(make: Callable[..., Store]) -> None:
    for name in NAMES[:100]:
        make().files.write(name, [os.urandom(20_000)])
    made = make(limit_bytes=1_000_000)
    made.store.write(NAMES[200], [b"x"])
    hub_until(lambda: not made.store.is_evicting, "the end of an eviction")
    assert made.used_bytes() <= 1_000_000


def test_one_answer_does_not_throw_out_all_others(make: Callable[..., Store]) -> None:
    made = make(limit_bytes=1_000_000)
    assert made.store.write(NAMES[1], [bytes(250_000)])
    assert not made.store.write(NAMES[2], [bytes(250_001)])
    assert made.store.read(NAMES[2]) is None
    assert not made.warned


def test_a_disk_that_refuses_is_told_of_once(make: Callable[..., Store], tmp_path: Path) -> None:
    made = make()
    made.store.write(NAMES[3], [b"kept"])
    (tmp_path / "v1" / NAMES[1][:2]).rmdir()
    assert not made.store.write(NAMES[1], [b"x"])
    assert not made.store.write(NAMES[2], [b"x"]), "it is not tried again and again"
    assert made.store.read(NAMES[3]) == b"kept"
    assert made.warned == [f"the cache {tmp_path} can't be written: No such file or directory; going on without it"]


def test_what_can_t_be_read_is_not_there(make: Callable[..., Store]) -> None:
    made = make()
    Path(made.files.path(NAMES[1])).mkdir()
    assert made.store.read(NAMES[1]) is None
    made.store.remove(NAMES[1])
    assert len(made.warned) == 1
    assert "can't be read: Is a directory" in made.warned[0]


def test_a_turnstile_lets_the_hub_turn() -> None:
    turnstile, order = Turnstile(3), []

    def walk(number: int) -> None:
        turnstile.go_through()
        order.append(number)

    walkers = [gevent.spawn(walk, number) for number in range(8)]
    # What the hub does between: a timer is looked at once it has polled.
    turns = get_hub().loop.timer(0.0, 0.0)
    gevent.joinall(walkers[:3])
    assert order == [0, 1, 2]
    gevent.joinall(walkers)
    assert order == list(range(8))
    turns.close()
    # Alone, and later again.
    for number in range(20):
        walk(number)
    assert order[8:] == list(range(20))
