"""Pages on a machine that refuses: full disks, folders that are gone, bodies that others store too."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from uuid import UUID

import pytest

from app.errors import OutputError
from app.sinks.body_store import BodyStore
from app.sinks.capture_part import CapturePart
from app.sinks.outputs import PageOutputs
from tests.support.crash import in_a_fork
from tests.support.kept_shard import Bench
from tests.support.no_room import no_room_beyond


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
