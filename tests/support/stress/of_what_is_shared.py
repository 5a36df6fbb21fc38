"""Kinds of stages that use what all stages share: locks, caches, streams, modules."""

from __future__ import annotations

import collections
import functools
import importlib
import io
import itertools
import logging
import queue
import random
import sys
import threading
import weakref
from typing import Any

from tests.support.stress.kinds import shared
from tests.support.stress.things import Number, numbers

_CONSTANT = [Number(1), [Number(2), Number(3)], {"four": Number(4)}]


@shared
def writes_what_is_shared(chance: random.Random) -> str:
    written = {repr(_CONSTANT) for _ in range(chance.randrange(50, 150))}
    return "".join(sorted(written))


_handler_lines: collections.deque[str] = collections.deque(maxlen=10_000)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _handler_lines.append(self.format(record))


_log_names = itertools.count()


_log = logging.Logger("stress")


_log.addHandler(_Handler())


@shared
def logs(chance: random.Random) -> int:
    name = f"{next(_log_names)} {chance.random()}"
    for number in range(20):
        _log.warning("%s %d %s", name, number, Number(number))
    return sum(line.startswith(name) for line in list(_handler_lines)) - 20


@shared
def imports(chance: random.Random) -> list[Any]:
    found = []
    for name in chance.choices(("colorsys", "statistics", "graphlib", "not_there", "sched", "timeit"), k=3):
        sys.modules.pop(name, None)
        try:
            found.append(importlib.import_module(name).__name__)
        except ImportError:
            found.append("none")
    return found


_lock, _rlock = threading.Lock(), threading.RLock()


_balance = [0, 0]


@shared
def locks(chance: random.Random) -> int:
    for _ in range(chance.randrange(20, 60)):
        with _lock:
            before = _balance[0]
            sum(range(20))
            _balance[0] = before + 1
            with _rlock, _rlock:
                _balance[1] += 1
            assert _balance[0] == before + 1
    return 1


@functools.lru_cache(30)
def _shared_cache(number: Number) -> int:
    return number.value * 2


@shared
def a_shared_cache(chance: random.Random) -> int:
    return sum(_shared_cache(number) for number in numbers(chance, 200, 100))


_shared_queue: queue.Queue[int] = queue.Queue()


@shared
def queues(chance: random.Random) -> int:
    total = 0
    for number in range(chance.randrange(10, 30)):
        _shared_queue.put(number)
        _shared_queue.get()
        total += number
    return total


_shared_weak: weakref.WeakValueDictionary[object, Number] = weakref.WeakValueDictionary()


class _Weak(Number):
    pass


@shared
def shared_weak_values(chance: random.Random) -> list[int]:
    mine = [_Weak(chance.randrange(1000)) for _ in range(40)]
    keys = [object() for n in range(40)]
    _shared_weak.update(zip(keys, mine, strict=True))
    found = [_shared_weak[key].value for key in keys]
    list(_shared_weak.items())
    return found


class _SlowRaw(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(bytes(memoryview(data)[: 10 + sum(range(40)) % 3]))


_shared_buffer = io.BufferedWriter(_SlowRaw(), 16)


@shared
def a_shared_buffer(chance: random.Random) -> int:
    for _ in range(chance.randrange(20, 60)):
        _shared_buffer.write(b"a line of some length\n")
        _shared_buffer.flush()
    return 1


_shared_text = io.TextIOWrapper(io.BufferedWriter(io.FileIO("/dev/null", "w"), 64))


@shared
def prints(chance: random.Random) -> int:
    for number in range(chance.randrange(10, 40)):
        print(number, Number(number), chance.random(), file=_shared_text)
    return 1
