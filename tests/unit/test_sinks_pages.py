"""Pages kept besides their records: WARC captures as real readers see them, bodies, and deaths at any moment."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.sinks.capture_part import CapturePart
from app.sinks.outputs import OutputSpec, PageOutputs, assemble, warc_path
from app.sinks.page_sink import PageSink
from tests.support.crash import deaths
from tests.support.kept_shard import Bench, bodies_in, body_of, is_valid, page_of, records_of


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
    for _ in deaths(work, tmp_path):
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
@example(share=0.9996, zeros=1)
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
    kept = whole[:size] + bytes((0, 10, len(whole) - size)[zeros])
    path.write_bytes(kept)
    left = bench.go_on()
    assert 12 in left
    # A gzip member's last two bytes are zeros as a rule: some may be what was there.
    assert (left == {12}) == kept.startswith(whole)
    bench.check()


def test_a_torn_head_that_goes_on_in_zeros_is_no_capture(tmp_path: Path) -> None:
    first, second, path = UUID(int=1), UUID(int=2), tmp_path / "captures"
    part = CapturePart(path)
    part.append(first, b"whole")
    end = path.stat().st_size
    part.append(second, b"torn")
    part.close()
    data = path.read_bytes()
    for size in range(end, len(data)):
        path.write_bytes(data[:size] + bytes(100))
        again = CapturePart(path)
        again.close()
        assert (again.holds(first), again.holds(second)) == (True, False), size - end
        assert path.stat().st_size == end


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
