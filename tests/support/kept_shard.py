"""A shard whose pages are kept besides their records: done in a folder, and seen as real readers see it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import msgspec
import requests
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from app.engine.shard_run import ShardRun
from app.fetching.answer import Answer
from app.fetching.page import Page
from app.model.outcome import Outcome
from app.model.timing import Timing
from app.policy.sharding import Shard
from app.sinks.outputs import PageOutputs, warc_path
from app.sources.forms import URL

HEAD = b"HTTP/1.1 200 Fine\r\nContent-Type: text/plain\r\n\r\n"

LINES = [b"http://h.test/%d" % index for index in range(4)]


def page_of(url: str, body: bytes, protocol: str = "HTTP/1.1") -> Page:
    lines = HEAD.splitlines(keepends=True)
    answer = Answer(lines, body, None, Timing(0.0, 0.0, 0.0, 0.25, 0.5, True, protocol))
    page = Page.of_answer(answer, "GET", url, lambda: requests.Request("GET", url).prepare())
    page.began_s = 1_000_000_000.25
    return page


def records_of(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    """As warcio reads them, HTTP heads left in the block; its own check of digests, of payloads too, has to pass."""
    for record in ArchiveIterator(io.BytesIO(data), check_digests="raise"):
        record.raw_stream.read()
    whole = ArchiveIterator(io.BytesIO(data), no_record_parse=True)
    return [(dict(record.rec_headers.headers), record.raw_stream.read()) for record in whole]


class Bench:
    """A shard of four requests in a folder, or fewer, with a WARC and a body store."""

    def __init__(self, folder: Path, requests: int = 4) -> None:
        self.folder = folder
        self.shard = Shard(0, 10, [URL + line for line in LINES[:requests]])
        self.indexes = list(range(10, 10 + requests))
        self.part, self.final = folder / "parts" / "000000.jsonl", folder / "shards" / "000000.jsonl"
        self.bodies = folder / "bodies"
        self.outputs = PageOutputs(warc=True, bodies=str(self.bodies))
        for path in (self.part, self.final):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.bodies.mkdir(exist_ok=True)

    def open(self) -> ShardRun:
        return ShardRun(self.shard, self.part, self.final, self.outputs)

    def keep(self, run: ShardRun, index: int, body: bytes | None = None) -> None:
        """As the engine does it: the page, then its record."""
        url = LINES[index - 10].decode()
        page = page_of(url, body_of(index) if body is None else body)
        fields = run.keep_page(index, page)
        run.record([Outcome(index=index, url=url, ok=True, bytes=len(page.body), **fields)])  # type: ignore[arg-type]

    def go_on(self) -> set[int]:
        """Take the shard up, do what is left, finish; the indexes that were left."""
        run = self.open()
        left = {entry.index for entry in run.entries()}
        for index in left:
            self.keep(run, index)
        run.finish()
        return left

    def check(self) -> None:
        """Exactly one whole record, capture and body for each request, and nothing else."""
        records = [msgspec.json.decode(line) for line in self.final.read_bytes().splitlines()]
        assert [record["index"] for record in records] == self.indexes
        warc = warc_path(self.final)
        assert is_valid(warc)
        found = records_of(warc.read_bytes())
        responses = [(record, block) for record, block in found if record["WARC-Type"] == "response"]
        assert [record["WARC-Record-ID"] for record, _ in responses] == [f"<{each['warc_id']}>" for each in records]
        assert [block for _, block in responses] == [HEAD + body_of(index) for index in self.indexes]
        kinds = ["warcinfo"] + ["response", "request", "metadata"] * len(self.indexes)
        assert [record["WARC-Type"] for record, _ in found] == kinds
        assert bodies_in(self.bodies) == {each["body_sha256"] for each in records}
        left = sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())
        assert [path for path in left if not path.startswith("bodies")] == [
            "shards/000000.jsonl",
            "shards/000000.warc.gz",
        ]
        assert not list(self.bodies.glob(".partial/*"))

    def clear(self) -> None:
        for path in [*self.folder.rglob("*")]:
            if path.is_file():
                path.unlink()


def body_of(index: int) -> bytes:
    return b"body %d " % index * index * 300


def bodies_in(folder: Path) -> set[str]:
    """Names of the bodies in a store; each must have its content's, but for what is not there yet."""
    names = set()
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name != ".partial":
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, path
            assert path == folder / path.name[:2] / path.name[2:4] / path.name
            names.add(path.name)
    return names


def is_valid(path: Path) -> bool:
    """`warcio check`, which says on standard output what is wrong."""
    checker = Checker(type("Command", (), {"inputs": [str(path)], "verbose": False})())
    checker.process_all()
    return checker.exit_value == 0
