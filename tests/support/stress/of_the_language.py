"""Kinds of stages that are about the language itself: its statements, objects, garbage."""

from __future__ import annotations

import ast
import collections
import contextvars
import dataclasses
import enum
import functools
import gc
import itertools
import operator
import random
import threading
import traceback
import weakref
from collections.abc import Generator
from typing import Any

from tests.support.stress.kinds import kind
from tests.support.stress.things import Number, numbers


@kind
def sorts(chance: random.Random) -> list[int]:
    found = numbers(chance, 300)
    found.sort()
    by_key = sorted(found, key=lambda number: (number.value % 7, -number.value))
    by_comparison = sorted(found, key=functools.cmp_to_key(lambda a, b: b.value - a.value))
    return [number.value for number in found[:9] + by_key[:9] + by_comparison[:9]]


@kind
def hashes_in_python(chance: random.Random) -> list[int]:
    counted = collections.Counter(numbers(chance, 200, 120))
    kept = dict.fromkeys(numbers(chance, 200, 120), 1)
    both = set(numbers(chance, 100, 120)) & set(numbers(chance, 100, 120))
    return [len(counted), len(kept), max(counted.values()), sum(number.value for number in both)]


@kind
def generators(chance: random.Random) -> int:
    def inner(count: int) -> Generator[int, int | None, str]:
        for number in range(count):
            try:
                sent = yield number
                if sent:
                    yield sent
            finally:
                sum(range(5))
        return "end"

    def outer(count: int) -> Generator[int, int | None, None]:
        assert (yield from inner(count)) == "end"
        yield from (n * n for n in range(count))

    running = outer(chance.randrange(50, 150))
    first = next(running) + (running.send(7) or 0)
    return first + sum(itertools.chain(running, itertools.islice(outer(60), 50)))


@kind
def exceptions(chance: random.Random) -> int:
    total = 0
    for number in range(chance.randrange(100, 200)):
        try:
            try:
                {}[number]
            except KeyError as error:
                raise ValueError(number) from error
            finally:
                total += 1
        except ValueError as error:
            total += error.args[0] + isinstance(error.__cause__, KeyError)
        try:
            raise ExceptionGroup("several", [KeyError(1), ValueError(number)])
        except* ValueError as group:
            total += group.exceptions[0].args[0]
        except* KeyError:
            total += 1
    return total


@kind
def tracebacks(chance: random.Random) -> int:
    def fall(depth: int) -> None:
        if not depth:
            raise ValueError("bottom")
        fall(depth - 1)

    depth = chance.randrange(3, 12)
    try:
        fall(depth)
    except ValueError as error:
        return len(traceback.extract_tb(error.__traceback__)) - depth
    return -1


@kind
def context_variables(chance: random.Random) -> int:
    value = chance.random()
    token = _variable.set(value)
    for _ in range(300):
        assert _variable.get() == value
        contextvars.copy_context().run(_variable.set, 0.0)
    _variable.reset(token)
    return 1


_variable = contextvars.ContextVar("_variable", default=0.0)


@kind
def finalizers(chance: random.Random) -> list[int]:
    ended: list[int] = []

    class Ends:
        def __init__(self, number: int) -> None:
            self.number = number
            self.me = self if number % 2 else None

        def __del__(self) -> None:
            sum(range(50))
            ended.append(self.number)

    count = chance.randrange(20, 60)
    for number in range(count):
        Ends(number)
    while len(ended) < count:
        gc.collect()  # gives 0 at once if somebody else's is under way
    return sorted(ended)


@kind
def collections_of_garbage(chance: random.Random) -> int:
    seen: list[object] = []

    class Node:
        pass

    count = chance.randrange(10, 40)
    references = []
    for _ in range(count):
        node: Any = Node()
        node.me = node
        references.append(weakref.ref(node, seen.append))
        del node
    while len(seen) < count:
        gc.collect()
    return len(references)


@kind
def deep_recursion(chance: random.Random) -> int:
    def dive(depth: int) -> int:
        return 0 if not depth else 1 + dive(depth - 1)

    return sum(dive(chance.randrange(100, 400)) for _ in range(8))


@kind
def data_classes(chance: random.Random) -> list[Any]:
    @dataclasses.dataclass(order=True)
    class Point:
        x: int
        y: Number
        tags: list[str] = dataclasses.field(default_factory=list)

    points = [Point(chance.randrange(9), Number(n)) for n in range(20)]
    return [repr(sorted(points)[:2]), dataclasses.asdict(points[0])["x"], dataclasses.replace(points[1], x=3).x]


@kind
def classes(chance: random.Random) -> list[Any]:
    class Meta(type):
        def __new__(cls, name: str, bases: tuple[type, ...], names: dict[str, Any]) -> Meta:
            return super().__new__(cls, name, bases, {**names, "made": sum(range(30))})

    class Base(metaclass=Meta):
        def __init_subclass__(cls) -> None:
            cls.number = len(cls.__name__)  # type: ignore[attr-defined]

        def __getattr__(self, name: str) -> str:
            return name[::-1]

    made = [type(Base)(f"Sub{'x' * n}", (Base,), {}) for n in range(chance.randrange(3, 9))]

    class Colour(enum.Flag):
        RED = 1
        GREEN = 2

    return [[one.number for one in made], made[0]().abc, Base.made, (Colour.RED | Colour.GREEN).value]  # type: ignore[attr-defined]


@kind
def weak_dictionaries(chance: random.Random) -> list[int]:
    class Thing:
        pass

    kept = [Thing() for _ in range(60)]
    values: weakref.WeakValueDictionary[int, Thing] = weakref.WeakValueDictionary(enumerate(kept))
    keys: weakref.WeakKeyDictionary[Thing, int] = weakref.WeakKeyDictionary((one, 1) for one in kept)
    things: weakref.WeakSet[Thing] = weakref.WeakSet(kept)
    del kept[chance.randrange(10, 50) :]
    return [len(list(values.items())), sum(keys.values()), len(list(things))]


@kind
def thread_locals(chance: random.Random) -> int:
    value = chance.randrange(1000)
    _local.value = value
    for _ in range(200):
        assert _local.value == value
    return value


_local = threading.local()


@kind
def compiles(chance: random.Random) -> list[Any]:
    terms = " + ".join(f"f({chance.randrange(10)})" for _ in range(60))
    tree = ast.parse(terms, mode="eval")
    return [eval(compile(tree, "<stress>", "eval"), {"f": lambda n: n * 2}), len(list(ast.walk(tree)))]


@kind
def big_numbers(chance: random.Random) -> int:
    return len(str(chance.getrandbits(4500) ** 3 // (chance.getrandbits(3000) | 1))) + pow(7, 3**200, 10**50) % 7


@kind
def calls_from_c(chance: random.Random) -> list[Any]:
    found = numbers(chance, 80)
    return [
        sum(found),
        max(found, key=lambda number: -number.value).value,
        functools.reduce(lambda a, b: (a * 31 + b.value) % 10_007, found, 7),
        sum(map(operator.attrgetter("value"), filter(lambda number: number.value % 3, found))),
        [len(list(group)) for _, group in itertools.groupby(sorted(found), key=lambda number: number.value // 100)],
        any(number.value > 2000 for number in found),
        list(itertools.accumulate(found[:5], lambda a, b: Number(a.value + b.value)))[-1].value,
    ]
