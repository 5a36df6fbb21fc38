from __future__ import annotations

import os
from pathlib import Path

import gevent
import pytest

from app.errors import OutputError
from app.model.outcome import Outcome
from app.sinks.jsonl import JsonlPart
from workers.part_sync import PartSync


def test_a_part_is_flushed_by_a_descriptor_that_outlives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = JsonlPart(tmp_path / "part")
    part.append([Outcome(index=0, url="u", ok=True)])
    flushed = []

    def fdatasync(descriptor: int) -> None:
        part.finish(tmp_path / "final")  # meanwhile, as the hub goes on
        flushed.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    gevent.get_hub().threadpool.apply(int)  # its thread has descriptors of its own
    before = len(os.listdir("/proc/self/fd"))
    PartSync(lambda: [part]).flush()
    assert flushed == [(tmp_path / "final").stat().st_size]
    assert len(os.listdir("/proc/self/fd")) == before - 1, "that of the part, which is finished"


def test_the_hub_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = JsonlPart(tmp_path / "part")
    reader, writer = os.pipe()
    monkeypatch.setattr(os, "fdatasync", lambda _: os.read(reader, 1))
    flushing = gevent.spawn(PartSync(lambda: [part]).flush)
    gevent.sleep(0)
    assert not flushing.dead, "the disk has not answered, and we are here"
    os.write(writer, b"x")
    flushing.get()
    for descriptor in (reader, writer):
        os.close(descriptor)
    part.close()


def test_a_disk_that_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fdatasync(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    part = JsonlPart(tmp_path / "part")
    with pytest.raises(OutputError, match="Input/output error"):
        PartSync(lambda: [part]).flush()
    part.close()


def test_no_descriptor_left_is_said_and_costs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [JsonlPart(tmp_path / "one"), JsonlPart(tmp_path / "two")]
    made: list[int] = []
    closed: list[int] = []
    duplicate, close = os.dup, os.close

    def dup(descriptor: int) -> int:
        if made:
            raise OSError(24, "Too many open files")
        made.append(duplicate(descriptor))
        return made[0]

    with monkeypatch.context() as patch:
        patch.setattr(os, "dup", dup)
        patch.setattr(os, "close", closed.append)
        with pytest.raises(OutputError, match="Too many open files"):
            PartSync(lambda: parts).flush()
        assert made == closed != []
    close(made[0])
    for part in parts:
        part.close()


def test_nothing_new_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda _: pytest.fail("flushed"))
    PartSync(list).flush()
