"""Kinds of stages that are about libraries: their C code calls Python, and the other way round."""

from __future__ import annotations

import bisect
import collections
import contextlib
import copy
import csv
import decimal
import difflib
import fractions
import functools
import hashlib
import heapq
import html.parser
import io
import json
import pickle
import random
import re
import sqlite3
import string
import tempfile
import textwrap
import xml.etree.ElementTree as ElementTree
import zlib
from typing import Any

import msgspec
from selectolax.lexbor import LexborHTMLParser

from tests.support.stress.kinds import kind
from tests.support.stress.things import HTML, PARAGRAPHS, WORDS, Number, numbers


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
def copies(chance: random.Random) -> list[Any]:
    value = {"numbers": numbers(chance, 60), "nested": [{"n": n} for n in range(30)]}
    again = copy.deepcopy(value)
    pickled = pickle.loads(pickle.dumps(value))
    return [again == value, pickled == value, sum(pickled["numbers"])]


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
