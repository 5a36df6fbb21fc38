"""What is found wrong once a run has begun, and would have been a mistake in the command before: it ends the run, and
nothing that is recorded is lost.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.batch import children_of, records, run_batch, running_batch, write_list
from tests.support.origin import Origin
from tests.support.processes import wait_until

STAGE = "import helper\n\ndef size(page):\n    import later\n    return len(page.content)\n"
REQUESTS = 24


@pytest.fixture
def folder(origin: Origin, tmp_path: Path) -> Path:
    """With a list whose second request waits at a gate, another list, and a stage."""
    paths = ["/gate/held" if n == 1 else f"/ok/{n}" for n in range(REQUESTS - 1)]
    write_list(tmp_path / "one.txt", map(origin.url, paths))
    write_list(tmp_path / "two.txt", [origin.url(f"/ok/{REQUESTS - 1}")])
    (tmp_path / "helper.py").touch()
    (tmp_path / "later.py").touch()
    (tmp_path / "st.py").write_text(STAGE)
    return tmp_path


ARGUMENTS = ("one.txt", "two.txt", "-o", "out.jsonl", "--stage", "st:size", "--summary", "summary.json")
# One after the other, so that the second list is not read before the gate is opened.
ONE_BY_ONE = ("--workers", "1", "--concurrency", "1")


def recorded(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (folder / "out.jsonl.percore" / "shards").glob("*.jsonl"))


def imported(folder: Path) -> set[str]:
    """The names of the files that a run has learned of."""
    path = folder / "out.jsonl.percore" / "imported.json"
    return {Path(file).name for file in json.loads(path.read_bytes())} if path.exists() else set()


def assert_goes_on(origin: Origin, folder: Path) -> None:
    """To its end, and what was recorded is not fetched again."""
    left = recorded(folder)
    assert left >= 1
    assert json.loads((folder / "summary.json").read_bytes())["state"] == "stopped"
    before = origin.counts().total
    origin.open("held")
    status, said = run_batch(*ARGUMENTS, cwd=folder)
    assert status == 0, said
    assert origin.counts().total == before + REQUESTS - left
    assert [record["index"] for record in records(folder / "out.jsonl")] == list(range(REQUESTS))
    assert not (folder / "out.jsonl.percore").exists()


@pytest.mark.parametrize(
    ("edited", "text", "why"),
    [
        ("st.py", "def size(page:\n", "stage 'st:size' was edited while the run was under way"),
        ("st.py", STAGE + "\n", "stage 'st:size' was edited while the run was under way"),
        ("helper.py", "def size(page:\n", "/helper.py (imported by a stage) was edited while the run was under way"),
        ("helper.py", "a = 1\n", "/helper.py (imported by a stage) was edited while the run was under way"),
        ("later.py", "a = 1\n", "/later.py (imported by a stage) was edited while the run was under way"),
    ],
    ids=["broken", "other", "what it imports, broken", "what it imports", "what it imports when it is run"],
)
def test_a_worker_that_can_t_begin_in_another_s_place(
    origin: Origin, folder: Path, edited: str, text: str, why: str
) -> None:
    before = (folder / edited).read_text()
    with running_batch(*ARGUMENTS, *ONE_BY_ONE, cwd=folder) as process:
        origin.wait_waiting("held")
        wait_until(lambda: recorded(folder) == 1, "the first one is recorded")
        wait_until(lambda: len(imported(folder)) == 3, "what it imports is known")
        (folder / edited).write_text(text)
        (child,) = children_of(process.pid)
        os.kill(child, signal.SIGKILL)
        assert process.wait() == 3
        assert why in process.stderr
        assert "what was written is whole, and the same command goes on from there" in process.stderr
    status, said = run_batch(*ARGUMENTS, "--summary", "refused.json", cwd=folder)
    assert status == 2
    assert "holds an unfinished run (of another version of " in said
    (folder / edited).write_text(before)
    assert_goes_on(origin, folder)


def test_standard_input_can_t_be_gone_on_with(origin: Origin, folder: Path) -> None:
    arguments = ["-" if argument == "one.txt" else argument for argument in ARGUMENTS if argument != "two.txt"]
    with (
        open(folder / "one.txt", "rb") as one,
        running_batch(*arguments, *ONE_BY_ONE, "--shard-size", "1", cwd=folder, stdin=one.fileno()) as process,
    ):
        origin.wait_waiting("held")
        wait_until(lambda: recorded(folder) == 1, "the first one is recorded")
        (folder / "st.py").write_text(STAGE + "\n")
        (child,) = children_of(process.pid)
        os.kill(child, signal.SIGKILL)
        assert process.wait() == 3
    assert (
        "; standard input can't be read again, so this can't go on. What was written is whole, and lies in "
        "out.jsonl.percore/parts and shards; a list in a file can be gone on with\n"
    ) in process.stderr
    assert "same command" not in process.stderr
    assert recorded(folder) == 1


def test_an_input_that_is_not_there_any_more(origin: Origin, folder: Path) -> None:
    with running_batch(*ARGUMENTS, *ONE_BY_ONE, cwd=folder) as process:
        origin.wait_waiting("held")
        wait_until(lambda: recorded(folder) == 1, "the first one is recorded")
        (folder / "two.txt").rename(folder / "gone.txt")
        origin.open("held")
        assert process.wait() == 3
        assert "can't read two.txt: No such file or directory; what was written is whole" in process.stderr
    (folder / "gone.txt").rename(folder / "two.txt")
    assert_goes_on(origin, folder)


def test_nothing_is_left_of_a_run_that_has_recorded_nothing(origin: Origin, folder: Path) -> None:
    """Though it may have contacted somebody."""
    write_list(folder / "one.txt", [origin.url("/gate/held")])
    arguments = ("one.txt", "-o", "new.jsonl", "--stage", "st:size", "--summary", "summary.json")
    with running_batch(*arguments, *ONE_BY_ONE, cwd=folder) as process:
        origin.wait_waiting("held")
        (folder / "st.py").write_text("def size(page:\n")
        (child,) = children_of(process.pid)
        os.kill(child, signal.SIGKILL)
        assert process.wait() == 2
    assert json.loads((folder / "summary.json").read_bytes())["state"] == "refused"
    assert not (folder / "new.jsonl.percore").exists()


@pytest.mark.parametrize(
    ("stage", "settings", "end", "why"),
    [
        ("st:sise", {}, 2, "has no 'sise'"),
        ("hangs:x", {"PERCORE_START_TIMEOUT_S": "1"}, 2, "no worker was ready after 1 s"),
        ("hangs:x", {}, 130, "nothing is lost"),
    ],
    ids=["mistyped", "hangs", "ctrl-C"],
)
def test_fresh_throws_nothing_away_for_a_command_that_can_t_be_done(
    origin: Origin, folder: Path, stage: str, settings: dict[str, str], end: int, why: str
) -> None:
    (folder / "hangs.py").write_text("import signal\nopen('imports', 'w').close()\nwhile True:\n    signal.pause()\n")
    with running_batch(*ARGUMENTS, *ONE_BY_ONE, "--drain-timeout", "0", cwd=folder) as process:
        origin.wait_waiting("held")
        wait_until(lambda: recorded(folder) == 1, "the first one is recorded")
        process.signal(signal.SIGINT)
        assert process.wait() == 130
    wrong = [stage if argument == "st:size" else argument for argument in ARGUMENTS]
    with running_batch(*wrong, "--fresh", "--drain-timeout", "3600", cwd=folder, **settings) as process:
        if end == 130:
            wait_until((folder / "imports").exists, "a child imports")
            process.signal(signal.SIGINT)
        assert process.wait() == end
        assert why in process.stderr
    assert json.loads((folder / "summary.json").read_bytes())["state"] == ("refused" if end == 2 else "interrupted")
    assert recorded(folder) == 1
    # Another job's, too, is thrown away for one that can be done.
    status, said = run_batch("two.txt", "-o", "out.jsonl", "--fresh", cwd=folder)
    assert (status, len(records(folder / "out.jsonl"))) == (0, 1), said
