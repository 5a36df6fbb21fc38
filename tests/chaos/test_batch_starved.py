"""A batch that runs out of something at moments drawn by chance (the disk is full, its folders can't be written, there
are no descriptors left), is told so in one line, and goes on when there is some again: nothing is lost or doubled.

PERCORE_CHAOS_FAULTS and PERCORE_CHAOS_STARVED_URLS make it as long as one likes; PERCORE_CHAOS_SEED draws others.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.acknowledged import Acknowledged, assert_all_right
from tests.support.batch import COMMAND, children_of, write_list
from tests.support.origin import Origin
from tests.support.processes import Running, limit_files, running_process, wait_until
from tests.support.small_disk import Disk, small_disk
from tests.support.without_override import bound_by_permissions

FAULTS = int(os.environ.get("PERCORE_CHAOS_FAULTS", "4"))
URLS = int(os.environ.get("PERCORE_CHAOS_STARVED_URLS", "1000"))
SEED = int(os.environ.get("PERCORE_CHAOS_SEED", "1"))

_DELAY_AT_MOST_S = 0.05
_GATE_BYTES = 2_000

# Requests in which several shards are begun and finished.
_SHARD_SIZE = 50
_SHARDS_SOON = 4 * _SHARD_SIZE

pytestmark = pytest.mark.timeout(120 + 15 * FAULTS)


class Starving:
    """A job whose runs lack something, one after another.

    folder  where its output lies, for those inside;  outside: the same for us
    enter   the beginning of its commands
    """

    def __init__(
        self, origin: Origin, chance: random.Random, source: Path, folder: Path, outside: Path, enter: Sequence[str]
    ) -> None:
        # The last one waits at a gate, so that the job is not finished before all faults have come.
        self._paths = [f"/delay/{chance.uniform(0, _DELAY_AT_MOST_S):.4f}/{n}" for n in range(URLS - 1)] + [
            "/gate/held"
        ]
        write_list(source, map(origin.url, self._paths))
        self._origin = origin
        self._chance = chance
        self._output = outside / "out.jsonl"
        self._command = [
            *(*enter, *COMMAND, str(source), "-o", str(folder / "out.jsonl"), "--progress", "none"),
            *("--stage", "sha256", "--shard-size", f"{_SHARD_SIZE}", "--workers", "2", "--drain-timeout", "0"),
        ]
        self.work = outside / "out.jsonl.percore"
        self._acknowledged = Acknowledged(self.work, origin, self._paths)

    @contextmanager
    def run_to_a_moment(self, *, starts: bool = True) -> Iterator[Running]:
        """A run that has come to a moment drawn by chance. starts: one in four while it begins, perhaps."""
        until = self._origin.counts().total + self._chance.randint(1, URLS // FAULTS)
        with running_process(self._command) as process:
            if starts and self._chance.random() < 0.25:
                time.sleep(self._chance.uniform(0.0, 1.0))  # the moment, not a hope
            else:
                wait_until(lambda: self._has_come(until, process), "as many requests as that")
            self._acknowledged.look()
            yield process

    def end(self, process: Running, lacking: str, statuses: Sequence[int] = (3,)) -> str:
        """Wait for the end that what is lacking brings, or stop it if it does without; what came."""
        until = self._origin.counts().total + _SHARDS_SOON
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self._has_come(until, process), "it meets what is lacking")
        process.signal(signal.SIGINT)
        status = process.wait()
        assert "Traceback" not in process.stderr, process.stderr
        assert status in (*statuses, 130), process.stderr
        if status in (2, 3):
            assert lacking in process.stderr, process.stderr
            assert "goes on from there" in process.stderr or status == 2
        return {130: "did without", 2: "refused", 3: "stopped"}[status]

    def refused(self) -> str:
        """What a run says that can't even begin."""
        with running_process(self._command) as process:
            assert process.wait() == 2, process.stderr
            assert process.stderr.count("\n") == 1, process.stderr
            return process.stderr

    def assert_sound(self) -> None:
        """Between two runs."""
        self._acknowledged.look_at_rest()
        self._acknowledged.assert_none_again()

    def finish(self) -> None:
        """The last run, which lacks nothing."""
        self._origin.open("held")
        with running_process(self._command) as process:
            assert process.wait(timeout_s=100) == 0, process.stderr
        self._acknowledged.assert_none_again()
        assert_all_right(self._output, [*range(URLS - 1), _GATE_BYTES])

    def _has_come(self, until: int, process: Running) -> bool:
        return self._origin.counts().total >= until or self._is_over(process)

    def _is_over(self, process: Running) -> bool:
        """Whether it has ended, or waits at the gate with nothing else left to do."""
        if process.returncode is not None:
            return True
        return self._origin.counts().in_flight == 1 and len(self._acknowledged.look()) >= URLS - 1


@pytest.fixture
def chance() -> random.Random:
    return random.Random(SEED)


@contextmanager
def on_a_disk(
    origin: Origin, chance: random.Random, folder: Path, enter: Callable[[Disk], Sequence[str]]
) -> Iterator[tuple[Disk, Starving]]:
    mounted = folder / "disk"
    mounted.mkdir()
    # All records three times, and some more.
    with small_disk(mounted, URLS * 3_000 + 2_000_000) as disk:
        yield disk, Starving(origin, chance, folder / "urls.txt", disk.path, disk.outside, enter(disk))


def test_a_disk_that_fills_up(origin: Origin, chance: random.Random, tmp_path: Path) -> None:
    came: Counter[str] = Counter()
    with on_a_disk(origin, chance, tmp_path, lambda disk: disk.enter) as (disk, job):
        for _ in range(FAULTS):
            with job.run_to_a_moment() as process:
                disk.fill()
                came[job.end(process, "No space left on device", (2, 3))] += 1
            disk.free()
            job.assert_sound()
        job.finish()
    print(f"\nfull disk: {dict(came)}")
    assert came["stopped"], came


def test_folders_that_can_not_be_written_any_more(origin: Origin, chance: random.Random, tmp_path: Path) -> None:
    came: Counter[str] = Counter()
    with on_a_disk(origin, chance, tmp_path, lambda disk: [*disk.enter, *bound_by_permissions()]) as (disk, job):
        # The others matter at the beginning and at the end only.
        wanted = [
            job.work / "shards",
            job.work / "parts",
            job.work / "shards",
            job.work / "parts",
            job.work,
            disk.outside,
        ]
        for number in range(FAULTS):
            with job.run_to_a_moment() as process:
                closed = next(path for path in [*wanted[number % len(wanted) :], disk.outside] if path.exists())
                closed.chmod(0o555)
                came[job.end(process, "Permission denied", (2, 3))] += 1
            closed.chmod(0o755)
            job.assert_sound()
            disk.set_read_only(True)
            assert "Read-only file system" in job.refused()
            disk.set_read_only(False)
        job.finish()
    print(f"\nfolders that can't be written: {dict(came)}")
    assert came["stopped"], came


def test_no_descriptors_left(origin: Origin, chance: random.Random, tmp_path: Path) -> None:
    """In a child, which fetches and records, or in the parent, which then can't replace a child."""
    came: Counter[str] = Counter()
    job = Starving(origin, chance, tmp_path / "urls.txt", tmp_path, tmp_path, ())
    for _ in range(FAULTS):
        with job.run_to_a_moment(starts=False) as process:
            children = children_of(process.pid)
            if chance.random() < 0.5:
                for child in filter(records_something, children):
                    limit_files(child, first_free(child) + chance.randint(0, 4))
            else:
                # None but those that it has from the beginning: those of a child that is gone would do for another.
                limit_files(process.pid, 3)
                os.kill(chance.choice(children), signal.SIGKILL)
            came[job.end(process, "Too many open files (raise `ulimit -n`, or lower --")] += 1
        job.assert_sound()
    job.finish()
    print(f"\nno descriptors: {dict(came)}")
    assert came["stopped"], came


def records_something(pid: int) -> bool:
    """Whether that child has begun a shard; one that still imports would be at a loss for its modules' files."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed as we look
            if "/parts/" in os.readlink(entry):
                return True
    return False


def first_free(pid: int) -> int:
    """The number that the next descriptor of a process gets."""
    used = set(map(int, os.listdir(f"/proc/{pid}/fd")))
    return next(number for number in itertools.count() if number not in used)
