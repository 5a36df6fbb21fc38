"""Stages of every kind that is delicate to interrupt: pure functions of a seed, put together at random.

Each kind takes a random generator and gives a value that depends on it alone, also where it uses something that all
stages share (`SHARED`): so a wrong value tells that an interruption was not harmless.
"""

from __future__ import annotations

import ast
import bisect
import collections
import contextlib
import contextvars
import copy
import csv
import dataclasses
import decimal
import difflib
import enum
import fractions
import functools
import gc
import hashlib
import heapq
import html.parser
import importlib
import io
import itertools
import json
import logging
import operator
import pickle
import queue
import random
import re
import sqlite3
import string
import sys
import tempfile
import textwrap
import threading
import traceback
import weakref
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import msgspec
from selectolax.lexbor import LexborHTMLParser

Kind = Callable[[random.Random], Any]

KINDS: dict[str, Kind] = {}
# Those that use what all stages share: not to be killed in the middle of it.
SHARED: set[str] = set()

_words = random.Random(1)
WORDS = ["".join(_words.choices("abcdefghij", k=_words.randint(2, 9))) for _ in range(500)]
PARAGRAPHS = "".join(
    f"<p id=p{n}>{' '.join(_words.choices(WORDS, k=40))} <a href='/{n}'>more</a></p>" for n in range(30)
)
HTML = f"<html><body>{PARAGRAPHS}</body></html>"


def kind(function: Kind) -> Kind:
    KINDS[function.__name__] = function
    return function


def shared(function: Kind) -> Kind:
    SHARED.add(function.__name__)
    return kind(function)


def program(seed: int) -> tuple[list[str], Callable[[], list[Any]]]:
    """A stage of one to three kinds, each called in some roundabout way; their names, and what to call."""
    chance = random.Random(seed)
    names = chance.choices(sorted(KINDS), k=chance.randint(1, 3))
    steps = [(KINDS[name], chance.choice(_WAYS), chance.randrange(1 << 30)) for name in names]

    def stage() -> list[Any]:
        return [way(functools.partial(function, random.Random(own))) for function, way, own in steps]

    return names, stage


# --- ways to call -----------------------------------------------------------------------------------------------------


def _plainly(call: Callable[[], Any]) -> Any:
    return call()


def _in_a_generator(call: Callable[[], Any]) -> Any:
    def generate() -> Generator[Any, None, None]:
        yield call()

    return next(x for x in generate())


def _deep_down(call: Callable[[], Any], depth: int = 150) -> Any:
    return call() if not depth else _deep_down(call, depth - 1)


def _in_a_context(call: Callable[[], Any]) -> Any:
    return contextvars.copy_context().run(call)


def _in_a_sort(call: Callable[[], Any]) -> Any:
    found: list[Any] = []

    def key(number: int) -> int:
        if number == 2:
            found.append(call())
        return -number

    assert sorted([1, 2, 3], key=key) == [3, 2, 1]
    return found[0]


def _while_handling(call: Callable[[], Any]) -> Any:
    try:
        raise KeyError("outer")
    except KeyError as error:
        value = call()
        is_same = sys.exc_info()[1] is error
    assert is_same
    assert sys.exc_info()[1] is None
    return value


def _in_a_substitution(call: Callable[[], Any]) -> Any:
    found: list[Any] = []
    re.sub("b", lambda _: found.append(call()) or "x", "abc")
    return found[0]


async def _coroutine(call: Callable[[], Any]) -> Any:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    async for _ in numbers():
        value = call()
    return value


def _in_a_coroutine(call: Callable[[], Any]) -> Any:
    running = _coroutine(call)
    try:
        running.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits for nobody")


def _in_a_context_manager(call: Callable[[], Any]) -> Any:
    @contextlib.contextmanager
    def around() -> Iterator[None]:
        try:
            yield
        finally:
            sum(range(50))

    with around(), around():
        return call()


_WAYS: list[Callable[[Callable[[], Any]], Any]] = [
    _plainly,
    _plainly,
    _in_a_generator,
    _deep_down,
    _in_a_context,
    _in_a_sort,
    _while_handling,
    _in_a_substitution,
    _in_a_coroutine,
    _in_a_context_manager,
]

# --- objects with methods that other code calls -----------------------------------------------------------------------


@functools.total_ordering
class Number:
    """Compares, hashes, adds and writes itself in Python."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __lt__(self, other: Number) -> bool:
        return self.value < other.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value % 50)

    def __radd__(self, other: int) -> int:
        return other + self.value

    def __repr__(self) -> str:
        return f"<{self.value}>"

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    def __reduce__(self) -> tuple[Any, ...]:
        return Number, (self.value,)


def numbers(chance: random.Random, count: int, below: int = 1000) -> list[Number]:
    return [Number(chance.randrange(below)) for _ in range(count)]


# --- kinds ------------------------------------------------------------------------------------------------------------


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
def expressions(chance: random.Random) -> list[Any]:
    text = " ".join(chance.choices(WORDS, k=300))
    return [
        len(re.findall(r"(\w+)\s+(\w+)", text)),
        hash(re.sub(r"[aeiou]", lambda found: found.group().upper(), text)) == hash(re.sub("x", "x", text)),
        re.match(r"(a+)+$", "a" * 15 + "b"),
        [found.start() for found in re.finditer(WORDS[chance.randrange(50)], text)],
    ]


@kind
def json_with_hooks(chance: random.Random) -> list[Any]:
    value = [{"n": n, "list": [str(m) for m in range(5)]} for n in range(chance.randrange(50, 100))]
    text = json.dumps(value, indent=chance.choice([None, 1]), sort_keys=True)
    read = json.loads(text, object_hook=lambda found: tuple(sorted(found)), parse_int=lambda digits: int(digits) + 1)
    written = json.dumps(numbers(chance, 40), default=lambda number: number.value)
    return [len(text), len(read), zlib.crc32(written.encode())]


@kind
def msgspec_with_hooks(chance: random.Random) -> int:
    encoded = msgspec.json.encode(numbers(chance, 100), enc_hook=lambda number: number.value)
    return sum(msgspec.json.decode(encoded, type=list[int]))


@kind
def selectolax(chance: random.Random) -> list[int]:
    tree = LexborHTMLParser(HTML)
    nodes = tree.css("p")[: chance.randrange(5, 30)]
    return [sum(len(node.text()) for node in nodes), len([node.attributes["href"] for node in tree.css("a[href]")])]


@kind
def html_parser(chance: random.Random) -> list[int]:
    class Parser(html.parser.HTMLParser):
        tags = text = 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags += 1

        def handle_data(self, data: str) -> None:
            self.text += len(data)

    parser = Parser()
    parser.feed(PARAGRAPHS[: chance.randrange(1000, 4000)])
    return [parser.tags, parser.text]


@kind
def expat(chance: random.Random) -> list[Any]:
    class Target:
        depth = deepest = 0

        def start(self, tag: str, attributes: dict[str, str]) -> None:
            self.depth += 1
            self.deepest = max(self.depth, self.deepest)

        def end(self, tag: str) -> None:
            self.depth -= 1

        def close(self) -> int:
            return self.deepest

    depth = chance.randrange(20, 60)
    parser = ElementTree.XMLParser(target=Target())
    parser.feed("<a>" * depth + "</a>" * depth)
    return [parser.close(), len(list(ElementTree.fromstring("<r>" + "<i/>" * depth + "</r>")))]


@kind
def sqlite(chance: random.Random) -> list[Any]:
    class Longest:
        found = ""

        def step(self, word: str) -> None:
            self.found = max(self.found, word, key=lambda text: (len(text), text))

        def finalize(self) -> str:
            return self.found

    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("double", 1, lambda number: sum([number, number]))
        connection.create_aggregate("longest", 1, Longest)
        connection.create_collation("backwards", lambda a, b: (a < b) - (a > b))
        connection.execute("create table t (n integer, word text)")
        rows = [(chance.randrange(1000), chance.choice(WORDS)) for _ in range(120)]
        with connection:
            connection.executemany("insert into t values (?, ?)", rows)
        return [
            connection.execute("select sum(double(n)), longest(word) from t").fetchone(),
            connection.execute("select word from t order by word collate backwards, n limit 5").fetchall(),
        ]


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
def decimals(chance: random.Random) -> list[str]:
    found = []
    for digits in (5, 20, 3):
        with decimal.localcontext() as context:
            context.prec = digits
            total = decimal.Decimal(1)
            for _ in range(40):
                total = total * decimal.Decimal("1.1") / decimal.Decimal("0.97") + chance.randrange(3)
            found.append(str(total))
    return [*found, str(sum(fractions.Fraction(1, n) for n in range(1, 40)))]


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
def caches(chance: random.Random) -> list[int]:
    @functools.lru_cache(20)
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    class Lazy:
        @functools.cached_property
        def value(self) -> int:
            return sum(range(100))

    return [fibonacci(chance.randrange(20, 60)), Lazy().value]


@kind
def heaps(chance: random.Random) -> list[int]:
    heap: list[Number] = []
    for number in numbers(chance, 150):
        heapq.heappush(heap, number)
    ordered = [heapq.heappop(heap) for _ in range(100)]
    bisect.insort(ordered, Number(500))
    return [number.value for number in ordered + heapq.nlargest(5, numbers(chance, 80))]


@kind
def streams(chance: random.Random) -> list[int]:
    class Raw(io.RawIOBase):
        def __init__(self) -> None:
            self.written = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            piece = bytes(memoryview(data))[:97]
            self.written += piece
            return len(piece)

    raw = Raw()
    with io.TextIOWrapper(io.BufferedWriter(raw, 128), encoding="utf-8", write_through=False) as text:
        for number in range(chance.randrange(50, 150)):
            text.write(f"line {number}\n")
        text.flush()
        found = [len(raw.written), zlib.crc32(raw.written)]
    reading = io.TextIOWrapper(io.BufferedReader(io.BytesIO(bytes(raw.written)), 64))
    return [*found, sum(len(line) for line in reading)]


@kind
def files(chance: random.Random) -> int:
    with tempfile.TemporaryFile("w+", buffering=64) as file:
        for number in range(100):
            print(number, chance.random(), file=file)
        file.seek(0)
        return zlib.crc32(file.read().encode())


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
def copies(chance: random.Random) -> list[Any]:
    value = {"numbers": numbers(chance, 60), "nested": [{"n": n} for n in range(30)]}
    again = copy.deepcopy(value)
    pickled = pickle.loads(pickle.dumps(value))
    return [again == value, pickled == value, sum(pickled["numbers"])]


@kind
def compiles(chance: random.Random) -> list[Any]:
    terms = " + ".join(f"f({chance.randrange(10)})" for _ in range(60))
    tree = ast.parse(terms, mode="eval")
    return [eval(compile(tree, "<stress>", "eval"), {"f": lambda n: n * 2}), len(list(ast.walk(tree)))]


@kind
def texts(chance: random.Random) -> list[Any]:
    text = " ".join(chance.choices(WORDS, k=80))
    rows = io.StringIO()
    csv.writer(rows).writerows([[word, Number(n)] for n, word in enumerate(text.split())])
    return [
        textwrap.fill(text, 30).count("\n"),
        string.Template("$a $b").substitute(collections.ChainMap({"a": "1"}, {"b": "2"})),
        len(list(csv.reader(io.StringIO(rows.getvalue())))),
        difflib.SequenceMatcher(None, text[:60], text[30:90]).ratio(),
        f"{Number(255):x}" + f"{Number(7):>5}",
        repr(numbers(chance, 50))[:40],
        len(text.encode().decode("utf-16-le", "replace")),
    ]


@kind
def digests(chance: random.Random) -> str:
    data = chance.randbytes(200_000)
    return hashlib.sha256(zlib.decompress(zlib.compress(data, 1))).hexdigest()


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


# --- kinds that use what all stages share -----------------------------------------------------------------------------

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
