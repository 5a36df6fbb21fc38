"""Shared metrics: what several workers say adds up, also when one ends between any two steps of a reader."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.telemetry import shared
from app.telemetry.families import Sample
from app.telemetry.shared import SharedMetrics, make_folder, remove_folder, retire
from app.telemetry.sums import added_up
from tests.support.processes import ended_pid

COUNTER, GAUGE, LARGEST = "percore_connections_opened_total", "percore_fetches_waiting", "percore_stage_held_seconds"


def value_of(samples: list[Sample], family: str) -> float:
    return sum(one.value for one in samples if one.family == family)


def test_sums_are_by_family_and_labels() -> None:
    samples = [
        Sample("percore_answers_total", 2, ("HTTP/2",)),
        Sample("percore_answers_total", 3, ("HTTP/1.1",)),
        Sample("percore_answers_total", 5, ("HTTP/2",)),
        Sample(LARGEST, 0.5, ("a",)),
        Sample(LARGEST, 0.25, ("a",)),
    ]
    assert sorted(added_up(samples), key=lambda one: one.value) == [
        Sample(LARGEST, 0.5, ("a",)),
        Sample("percore_answers_total", 3, ("HTTP/1.1",)),
        Sample("percore_answers_total", 7, ("HTTP/2",)),
    ]


def test_one_sees_the_others_and_not_itself(tmp_path: Path) -> None:
    one, other = SharedMetrics(tmp_path, 1), SharedMetrics(tmp_path, 2)
    assert one.others() == []
    one.publish([Sample(COUNTER, 1)])
    other.publish([Sample(COUNTER, 10), Sample(GAUGE, 3)])
    assert one.others() == [Sample(COUNTER, 10), Sample(GAUGE, 3)]
    assert other.others() == [Sample(COUNTER, 1)]


def test_of_a_worker_that_has_ended_counters_stay(tmp_path: Path) -> None:
    reader, gone = SharedMetrics(tmp_path, 1), SharedMetrics(tmp_path, 2)
    gone.publish([Sample(COUNTER, 10), Sample(GAUGE, 3)])
    retire(tmp_path, {1, 3})
    assert reader.others() == [Sample(COUNTER, 10)]
    retire(tmp_path, {1, 3})
    assert reader.others() == [Sample(COUNTER, 10)]
    # The next one may get the same process id.
    SharedMetrics(tmp_path, 2).publish([Sample(COUNTER, 5)])
    assert value_of(reader.others(), COUNTER) == 15


def test_a_file_that_is_no_file_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "7.json").write_text("{")
    (tmp_path / "gone.json").write_text("[]")
    assert SharedMetrics(tmp_path, 1).others() == []
    retire(tmp_path, {7})
    assert (tmp_path / "7.json").exists()
    retire(tmp_path, {1})
    assert not (tmp_path / "7.json").exists()


def test_what_can_not_be_written_leaves_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, reader = SharedMetrics(tmp_path, 1), SharedMetrics(tmp_path, 2)
    worker.publish([Sample(COUNTER, 1)])

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "no space left")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space left"):
        worker.publish([Sample(COUNTER, 2)])
    assert reader.others() == [Sample(COUNTER, 1)]
    assert [path.name for path in tmp_path.iterdir()] == ["1.json"]


@pytest.mark.parametrize("step", ["files", "gone"])
def test_who_ends_while_somebody_reads_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A worker is retired right before the reader's look at its file, or at the sum of the gone."""
    reader, other = SharedMetrics(tmp_path, 1), SharedMetrics(tmp_path, 2)
    other.publish([Sample(COUNTER, 10)])
    read = shared._read
    is_due = True

    def read_after_the_end(path: Path, kind: type[msgspec.Struct]) -> msgspec.Struct | None:
        nonlocal is_due
        if is_due and (path.name == "gone.json") == (step == "gone"):
            is_due = False
            retire(tmp_path, {1})
        return read(path, kind)

    monkeypatch.setattr(shared, "_read", read_after_the_end)
    assert value_of(reader.others(), COUNTER) == 10
    assert not is_due


def test_who_was_taken_in_and_not_dropped_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that retires workers dies between the two steps, and its successor does it again."""
    reader, other = SharedMetrics(tmp_path, 1), SharedMetrics(tmp_path, 2)
    other.publish([Sample(COUNTER, 10)])

    def dies(path: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", dies)
        with pytest.raises(KeyboardInterrupt):
            retire(tmp_path, {1})
    assert value_of(reader.others(), COUNTER) == 10
    retire(tmp_path, {1})
    assert value_of(reader.others(), COUNTER) == 10
    assert not (tmp_path / "2.json").exists()


def test_the_folder_is_ours_alone(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, os.getpid())
    assert make_folder(tmp_path, os.getpid()) == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(PermissionError, match="ours alone"):
        make_folder(tmp_path, os.getpid())
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="ours alone"):
        make_folder(tmp_path, os.getpid())


def test_folders_that_nobody_needs_any_more_are_removed(tmp_path: Path) -> None:
    dead = make_folder(tmp_path, ended_pid())
    (dead / "5.json").write_text("{}")
    mine = make_folder(tmp_path, os.getpid())
    assert list(tmp_path.iterdir()) == [mine]
    remove_folder(mine)
    remove_folder(mine)
    assert list(tmp_path.iterdir()) == []


class Workers(RuleBasedStateMachine):
    """Workers come, count and end in any order: what a reader adds up is what was counted and told."""

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.reader = SharedMetrics(self.folder, 999)
        self.alive: dict[int, tuple[SharedMetrics, int]] = {}
        self.ended = 0

    @rule(pid=st.integers(1, 3), count=st.integers(0, 5))
    def count(self, pid: int, count: int) -> None:
        worker, so_far = self.alive.get(pid) or (SharedMetrics(self.folder, pid), 0)
        worker.publish([Sample(COUNTER, so_far + count), Sample(GAUGE, 1)])
        self.alive[pid] = worker, so_far + count

    @rule(pid=st.integers(1, 3))
    def end(self, pid: int) -> None:
        retire(self.folder, self.alive.keys() - {pid})
        self.ended += self.alive.pop(pid, (None, 0))[1]

    @invariant()
    def all_is_there(self) -> None:
        samples = self.reader.others()
        assert value_of(samples, COUNTER) == self.ended + sum(count for _, count in self.alive.values())
        assert value_of(samples, GAUGE) == len(self.alive)

    def teardown(self) -> None:
        self._temporary.cleanup()


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
