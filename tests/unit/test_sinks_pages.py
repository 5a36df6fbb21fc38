"""Pages kept besides their records: WARC captures as real readers see them, bodies, and deaths at any moment."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import itertools
import os
import resource
import signal
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import requests
from fastwarc import ArchiveIterator as FastIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from app.engine.shard_run import ShardRun
from app.errors import OutputError
from app.fetching.answer import Answer
from app.fetching.exchanges import Exchange
from app.fetching.page import Page
from app.model.outcome import Outcome
from app.model.timing import Timing
from app.policy.sharding import Shard
from app.sinks.body_store import BodyStore
from app.sinks.capture_part import CapturePart
from app.sinks.outputs import OutputSpec, PageOutputs, assemble, warc_path
from app.sinks.page_sink import PageSink
from app.sinks.warc import capture, warcinfo
from tests.support.crash import deaths, in_a_fork

HEAD = b"HTTP/1.1 200 Fine\r\nContent-Type: text/plain\r\n\r\n"
LINES = [b"http://h.test/%d" % index for index in range(4)]


def page_of(url: str, body: bytes, protocol: str = "HTTP/1.1") -> Page:
    lines = HEAD.splitlines(keepends=True)
    answer = Answer(lines, body, None, Timing(0.0, 0.0, 0.0, 0.25, 0.5, True, protocol))
    page = Page.of_answer(answer, "GET", url, lambda: requests.Request("GET", url).prepare())
    page.began_s = 1_000_000_000.25
    return page


def numbered() -> Callable[[], UUID]:
    numbers = itertools.count(1)
    return lambda: UUID(int=next(numbers))


# --- the bytes of a capture -----------------------------------------------------------------------------------------


def test_a_capture_word_for_word() -> None:
    first = Exchange(
        "http://h.test/a", b"GET /a HTTP/1.1\r\nHost: h.test\r\n\r\n", HEAD, b"moved", "HTTP/1.1", 0.5, False
    )
    last = Exchange("http://h.test/b", b"GET /b HTTP/1.1\r\n\r\n", HEAD, b"here", "HTTP/2", None, False, "2001:db8::1")
    made = capture([first, last], 7, UUID(int=99), numbered(), 86_400.0)
    text = gzip.decompress(made).decode()
    fields = {
        "WARC-Type": "response",
        "WARC-Record-ID": f"<{UUID(int=1).urn}>",
        "WARC-Date": "1970-01-01T00:00:00.500000Z",
        "WARC-Target-URI": "http://h.test/a",
        "WARC-Protocol": "http/1.1",
        "WARC-Payload-Digest": digest_of(b"moved"),
        "WARC-Block-Digest": digest_of(HEAD + b"moved"),
        "Content-Type": "application/http;msgtype=response",
        "Content-Length": str(len(HEAD) + 5),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    assert text.startswith(f"WARC/1.1\r\n{head}\r\n{HEAD.decode()}moved\r\n\r\nWARC/1.1\r\nWARC-Type: request\r\n")
    records = records_of(made)
    kinds = [record["WARC-Type"] for record, _ in records]
    assert kinds == ["response", "request", "response", "request", "metadata"]
    assert records[1][0]["WARC-Concurrent-To"] == f"<{UUID(int=1).urn}>"
    assert {record["WARC-Concurrent-To"] for record, _ in records[3:]} == {f"<{UUID(int=99).urn}>"}
    assert records[2][0]["WARC-Record-ID"] == f"<{UUID(int=99).urn}>"
    assert records[2][0]["WARC-Date"] == "1970-01-02T00:00:00.000000Z", "it does not know when it began"
    assert records[2][0]["WARC-Protocol"] == "h2"
    assert [record.get("WARC-IP-Address") for record, _ in records] == [None] * 2 + ["2001:db8::1"] * 3
    assert records[4][1] == b"percore-index: 7\r\nvia: http://h.test/a\r\nhopsFromSeed: R\r\n"
    assert len({record["WARC-Record-ID"] for record, _ in records}) == 5
    assert gzip_members(made) == 5


def digest_of(data: bytes) -> str:
    return f"sha1:{base64.b32encode(hashlib.sha1(data).digest()).decode()}"


def gzip_members(data: bytes) -> int:
    members = 0
    while data:
        unpacker = zlib.decompressobj(wbits=31)
        unpacker.decompress(data)
        assert unpacker.eof
        data = unpacker.unused_data
        members += 1
    return members


def records_of(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    """As warcio reads them, HTTP heads left in the block; its own check of digests, of payloads too, has to pass."""
    for record in ArchiveIterator(io.BytesIO(data), check_digests="raise"):
        record.raw_stream.read()
    whole = ArchiveIterator(io.BytesIO(data), no_record_parse=True)
    return [(dict(record.rec_headers.headers), record.raw_stream.read()) for record in whole]


@settings(max_examples=150, deadline=None)
@given(
    body=st.binary(max_size=3000),
    request=st.binary(max_size=200),
    hops=st.integers(1, 3),
    url=st.sampled_from(["http://h.test/", "https://h.test:8443/a?b=%C3%A9"]),
    is_coded=st.booleans(),
    began_s=st.floats(0, 4e9),
)
def test_any_exchange_is_read_back_by_two_readers(
    body: bytes, request: bytes, hops: int, url: str, is_coded: bool, began_s: float
) -> None:
    exchange = Exchange(url, request, HEAD, body, "HTTP/1.1", began_s, is_coded)
    data = warcinfo(uuid4(), 0.0, [("software", "x")]) + capture([exchange] * hops, 3, uuid4(), uuid4, 0.0)
    records = records_of(data)
    assert [record["WARC-Type"] for record, _ in records].count("response") == hops
    for record, block in records[1:]:
        assert record["WARC-Target-URI"] == url
        if record["WARC-Type"] == "response":
            assert block == HEAD + body
        elif record["WARC-Type"] == "request":
            assert block == request
    fast = [
        (record.headers["WARC-Type"], record.reader.read(), record.verify_block_digest())
        for record in FastIterator(io.BytesIO(data), parse_http=False)
    ]
    assert [(kind, block) for kind, block, _ in fast] == [(record["WARC-Type"], block) for record, block in records]


# --- one shard ------------------------------------------------------------------------------------------------------


class Bench:
    """A shard of four requests in a folder, or fewer, with a WARC and a body store."""

    def __init__(self, folder: Path, requests: int = 4) -> None:
        self.folder = folder
        self.shard = Shard(0, 10, LINES[:requests])
        self.indexes = list(range(10, 10 + requests))
        self.part, self.final = folder / "parts" / "000000.jsonl", folder / "shards" / "000000.jsonl"
        self.bodies = folder / "bodies"
        self.outputs = PageOutputs(warc=True, bodies=str(self.bodies))
        for path in (self.part, self.final):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.bodies.mkdir(exist_ok=True)

    def open(self) -> ShardRun:
        return ShardRun(self.shard, "url", self.part, self.final, self.outputs)

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


def test_a_shard_from_beginning_to_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.go_on() == {10, 11, 12, 13}
    bench.check()


def test_all_is_on_the_disk_before_the_shard_counts_as_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    done: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any) -> Any:
            target = args[-1] if name == "rename" else Path(os.readlink(f"/proc/self/fd/{args[0]}"))
            if bench.bodies not in target.parents:
                done.append(f"{name} {target.name}")
            return real(*args)

        return call

    monkeypatch.setattr(os, "rename", noted("rename"))
    monkeypatch.setattr(os, "fsync", noted("fsync"))
    monkeypatch.setattr("app.sinks.body_store._sync_file_system", lambda descriptor: done.append("bodies"))
    bench.go_on()
    assert done == [
        "bodies",
        "fsync 000000.warc.gz.tmp",
        "rename 000000.warc.gz",
        "fsync 000000.jsonl.tmp",
        "rename 000000.jsonl",
        "fsync shards",
    ]


def test_what_is_kept_when_nothing_is_asked_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.outputs = PageOutputs()
    bench.go_on()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["000000.jsonl"]
    assert b"warc_id" not in bench.final.read_bytes()


def test_equal_bodies_are_one_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run = bench.open()
    for index in (10, 11, 12, 13):
        bench.keep(run, index, b"the same")
    run.finish()
    assert len(bodies_in(bench.bodies)) == 1


def test_a_death_at_any_line_of_storing_and_finishing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sinks.body_store._sync_file_system", lambda descriptor: None)
    bench = Bench(tmp_path, requests=2)

    def work() -> None:
        run = bench.open()
        bench.keep(run, 11)
        run.close()
        bench.go_on()

    left: set[int] = set()
    for _ in deaths(work):
        bodies_in(bench.bodies)  # whatever has its name is whole, at once
        if bench.final.exists():
            # As the worker does: it is finished, whoever did it, and the work folder will go.
            for path in bench.part.parent.iterdir():
                path.unlink()
            left.add(-1)
        else:
            left.add(len(bench.go_on()))
        bench.check()
        bench.clear()
    assert left == {-1, 0, 1, 2}, "deaths came before and after every record"


def test_a_death_between_page_and_record_leaves_an_orphan_that_is_passed_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run = bench.open()
    run.keep_page(11, page_of("http://h.test/1", b"an answer that nobody recorded"))
    run.close()
    assert bench.go_on() == {10, 11, 12, 13}
    (orphan,) = bodies_in(bench.bodies) - {hashlib.sha256(body_of(index)).hexdigest() for index in range(10, 14)}
    (bench.bodies / orphan[:2] / orphan[2:4] / orphan).unlink()
    bench.check()


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1), zeros=st.integers(0, 2))
def test_a_power_cut_may_take_any_end_of_the_captures(
    tmp_path_factory: pytest.TempPathFactory, share: float, zeros: int
) -> None:
    bench = Bench(tmp_path_factory.mktemp("cut"))
    run = bench.open()
    for index in (11, 10, 13):
        bench.keep(run, index)
    run.close()
    path = bench.part.with_suffix(".captures")
    whole = path.read_bytes()
    size = min(len(whole), int(share * (len(whole) + 1)))
    # What the file system gives back may be zeros.
    path.write_bytes(whole[:size] + bytes((0, 10, len(whole) - size)[zeros]))
    left = bench.go_on()
    assert 12 in left
    assert (left == {12}) == (size == len(whole))
    bench.check()


def test_a_spoiled_capture_is_fetched_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run = bench.open()
    for index in (11, 10):
        bench.keep(run, index)
    run.close()
    path = bench.part.with_suffix(".captures")
    spoiled = bytearray(path.read_bytes())
    spoiled[-1] ^= 1
    path.write_bytes(spoiled)
    assert bench.go_on() == {10, 12, 13}
    bench.check()


@pytest.mark.parametrize("spoil", [lambda body: body[:-1], lambda body: bytes(len(body)), lambda body: b""])
def test_a_spoiled_body_is_fetched_again(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    bench = Bench(tmp_path)
    run = bench.open()
    for index in (11, 10):
        bench.keep(run, index)
    run.close()
    sha256 = hashlib.sha256(body_of(11)).hexdigest()
    path = bench.bodies / sha256[:2] / sha256[2:4] / sha256
    path.write_bytes(spoil(path.read_bytes()))
    assert bench.go_on() == {11, 12, 13}
    bench.check()


def test_what_has_no_page_names_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run = bench.open()
    bench.keep(run, 10)
    run.give_up({11, 12})
    run.close()
    run = bench.open()
    assert [entry.index for entry in run.entries()] == [13]
    bench.keep(run, 13)
    run.finish()
    responses = [each for each, _ in records_of(warc_path(bench.final).read_bytes()) if each["WARC-Type"] == "response"]
    assert [each["WARC-Target-URI"] for each in responses] == ["http://h.test/0", "http://h.test/3"]


def test_shards_together_are_one_warc(tmp_path: Path) -> None:
    benches = [Bench(tmp_path / str(number)) for number in range(2)]
    for bench in benches:
        bench.go_on()
    spec = OutputSpec.parse(f"{tmp_path}/all.warc.gz")
    assemble(spec, [bench.final for bench in benches], tmp_path)
    assert is_valid(spec.path)
    kinds = [record["WARC-Type"] for record, _ in records_of(spec.path.read_bytes())]
    assert (kinds.count("warcinfo"), kinds.count("response"), kinds.count("request")) == (2, 8, 8)


def test_the_check_can_fail(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.go_on()
    text = gzip.decompress(warc_path(bench.final).read_bytes())
    (tmp_path / "x.warc").write_bytes(text.replace(b"body 11", b"body 99", 1))
    assert not is_valid(tmp_path / "x.warc")


def test_large_pages_go_aside(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    called: list[str] = []

    def aside(function: Callable[..., Any], *args: Any) -> Any:
        called.append(function.__name__)
        return function(*args)

    sink = PageSink(bench.outputs, bench.part, bench.final, aside=aside)
    sink.store(10, page_of("http://h.test/0", b"small"))
    assert not called
    sink.store(11, page_of("http://h.test/1", bytes(40_000)))
    assert called == ["_sha256", "capture"]
    sink.close()


def test_nothing_is_stored_while_it_is_aside(tmp_path: Path) -> None:
    """So who is killed there leaves nothing, and who else stores meanwhile is not mixed up with it."""
    bench = Bench(tmp_path)
    bench.outputs = PageOutputs(warc=True)

    def aside(function: Callable[..., Any], *args: Any) -> Any:
        before = path.stat().st_size
        value = function(*args)
        sink.store(10, page_of("http://h.test/0", b"meanwhile"))
        assert path.stat().st_size > before
        raise KeyboardInterrupt if args[1] == 12 else StopIteration(value)

    path = bench.part.with_suffix(".captures")
    sink = PageSink(bench.outputs, bench.part, bench.final, aside=aside)
    with pytest.raises(KeyboardInterrupt):
        sink.store(12, page_of("http://h.test/2", bytes(40_000)))
    sink.close()
    again = CapturePart(path)
    assert len(again._places) == 1
    again.close()


# --- a machine that refuses -----------------------------------------------------------------------------------------


@contextmanager
def no_room_beyond(size_bytes: int) -> Iterator[None]:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("outputs", ["warc", "bodies"])
def test_a_full_disk_is_one_error_and_what_was_stored_stays(tmp_path: Path, outputs: str) -> None:
    bench = Bench(tmp_path)
    bench.outputs = PageOutputs(warc=outputs == "warc", bodies=str(bench.bodies) if outputs == "bodies" else None)

    def work() -> None:
        run = bench.open()
        bench.keep(run, 11)
        noise = os.urandom(100_000)
        with no_room_beyond(50_000), pytest.raises(OutputError, match="File too large"):
            bench.keep(run, 10, noise)
        run.close()

    assert in_a_fork(work) == 0
    assert not list(bench.bodies.glob(".partial/*")), "what did not fit is gone"
    bench.outputs = PageOutputs(warc=outputs == "warc", bodies=str(bench.bodies) if outputs == "bodies" else None)
    assert bench.go_on() == {10, 12, 13}


def test_a_capture_that_did_not_fit_leaves_nothing_of_itself(tmp_path: Path) -> None:
    def work() -> None:
        part = CapturePart(tmp_path / "part")
        part.append(UUID(int=1), b"first")
        whole = (tmp_path / "part").read_bytes()
        with no_room_beyond(1000), pytest.raises(OutputError, match="File too large"):
            part.append(UUID(int=2), bytes(2000))
        assert (tmp_path / "part").read_bytes() == whole
        part.append(UUID(int=3), b"third")
        part.finish(b"begin ", [UUID(int=3), UUID(int=1)], tmp_path / "final")
        assert (tmp_path / "final").read_bytes() == b"begin thirdfirst"
        assert not part.holds(UUID(int=2))

    assert in_a_fork(work) == 0


def test_a_full_disk_at_the_shards_end_leaves_it_to_be_finished(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    def work() -> None:
        run = bench.open()
        for index in (10, 11, 12, 13):
            bench.keep(run, index)
        with no_room_beyond(1000), pytest.raises(OutputError, match=r"000000.warc.gz: File too large"):
            run.finish()

    assert in_a_fork(work) == 0
    assert not list(bench.final.parent.iterdir())
    assert bench.go_on() == set()
    bench.check()


def test_a_folder_that_is_gone_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't store bodies"):
        BodyStore(tmp_path / "file", "a")
    with pytest.raises(OutputError, match="can't open"):
        CapturePart(tmp_path / "missing" / "part")
    bench = Bench(tmp_path)
    run = bench.open()
    (bench.bodies / ".partial").rmdir()
    with pytest.raises(OutputError, match="can't store bodies"):
        bench.keep(run, 10)
    run.close()


def test_two_that_store_the_same_body_at_once(tmp_path: Path) -> None:
    first, second = BodyStore(tmp_path, "a"), BodyStore(tmp_path, "b")
    name = hashlib.sha256(b"x").hexdigest()
    first._write(b"x")
    second.put(name, b"x")
    first.put(name, b"x")
    assert first.holds(name, 1)
    assert not first.holds(name, 2)
    assert not first.holds("0" * 64, 1)


def test_who_takes_a_slot_over_clears_it(tmp_path: Path) -> None:
    BodyStore(tmp_path, "a")._write(b"torn")
    BodyStore(tmp_path, "b")
    assert [path.name for path in (tmp_path / ".partial").iterdir()] == ["a"]
    BodyStore(tmp_path, "a")
    assert not list((tmp_path / ".partial").iterdir())
