"""Stages in real batches: in all three places, crashing, stuck, slow, interrupted."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.support.batch import records, run_batch, running_batch, write_list
from tests.support.origin import Origin
from tests.support.processes import wait_until

STAGES = """
import ctypes
import os
from app.stages import stage


@stage
def size(page):
    return [len(page.content), os.getpid()]


@stage(runs_in="thread")
def threaded(page, earlier):
    return [earlier["size"][0] + 1, os.getpid()]


@stage(runs_in="process")
def apart(page, earlier):
    return [earlier["threaded"][0] + 1, os.getpid()]


def is_poison(page):
    return "poison" in page.url


@stage
def crash(page):
    if is_poison(page):
        ctypes.string_at(0)
    return len(page.content)


@stage(runs_in="process")
def crash_apart(page):
    if is_poison(page):
        ctypes.string_at(0)
    return len(page.content)


@stage
def stuck(page):
    if is_poison(page):
        sum(range(10**12))  # neither gives the GIL up nor looks for signals
    return len(page.content)


@stage(runs_in="thread", timeout_s=0.05)
def stuck_thread(page):
    if is_poison(page):
        ctypes.CDLL(None).pause()
    return len(page.content)


@stage
def holds(page):
    return sum(range(200_000))


@stage
def spin(page):
    open(f"spins-{os.getpid()}", "w").close()
    while True:
        pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a user would stand: with stages of their own."""
    (tmp_path / "mystages.py").write_text(STAGES)
    return tmp_path


def with_poison(folder: Path, origin: Origin, count: int, *poison: int) -> None:
    lines = [origin.url(f"/ok/{n + 10}?{'poison' if n in poison else n}") for n in range(count)]
    write_list(folder / "urls.txt", lines)


def run(folder: Path, *stages: str, workers: int = 1, **settings: str) -> tuple[int, str]:
    named = [argument for name in stages for argument in ("--stage", f"mystages:{name}")]
    environ = {f"PERCORE_{name}": value for name, value in settings.items()}
    return run_batch("urls.txt", "-o", "out.jsonl", "--workers", str(workers), *named, cwd=folder, **environ)


def values(folder: Path, name: str, but: int) -> list[object]:
    """Of all records but one, in order; each must be right."""
    others = [record for record in records(folder / "out.jsonl") if record["index"] != but]
    assert all(record["ok"] for record in others), others
    return [record["stages"][name] for record in others]


def test_stages_of_one_module_in_all_places(origin: Origin, folder: Path) -> None:
    with_poison(folder, origin, 6)
    status, said = run(folder, "size", "threaded", "apart")
    assert status == 0, said
    found = [record["stages"] for record in records(folder / "out.jsonl")]
    assert [one["size"][0] for one in found] == list(range(10, 16))
    assert [one["threaded"][0] for one in found] == list(range(11, 17))
    assert [one["apart"][0] for one in found] == list(range(12, 18))
    assert all(one["size"][1] == one["threaded"][1] != one["apart"][1] for one in found)


def test_a_request_whose_stage_crashes_its_worker_pays_alone(origin: Origin, folder: Path) -> None:
    with_poison(folder, origin, 12, 5)
    status, said = run(folder, "crash")
    assert status == 1
    assert said.count(f"was ended by signal {int(signal.SIGSEGV)}; another takes its place") == 3
    assert values(folder, "crash", but=5) == [n + 10 for n in range(12) if n != 5]
    assert records(folder / "out.jsonl")[5]["error"]["kind"] == "worker_crashed"


def test_in_a_process_of_its_own_it_costs_no_worker(origin: Origin, folder: Path) -> None:
    with_poison(folder, origin, 12, 5)
    status, said = run(folder, "crash_apart")
    assert status == 1
    assert "another takes its place" not in said
    assert values(folder, "crash_apart", but=5) == [n + 10 for n in range(12) if n != 5]
    assert records(folder / "out.jsonl")[5]["error"] == {
        "kind": "stage_failed",
        "message": "the isolated process that ran crash_apart died by SIGSEGV",
        "stage": "crash_apart",
    }


@pytest.mark.parametrize("edited", ["mystages.py", "helper.py"])
def test_a_process_begins_with_the_sources_that_the_worker_has(origin: Origin, folder: Path, edited: str) -> None:
    """One that takes another's place has to import them anew: what was edited meanwhile fails its pages, until it is
    undone.
    """
    (folder / "helper.py").write_text("VALUE = 1\n")
    file = folder / "mystages.py"
    file.write_text("import helper\n" + file.read_text())
    paths = ["ok/10", "gate/first", "ok/11?poison", "ok/12", "ok/13", "gate/second"]
    write_list(folder / "urls.txt", [origin.url(f"/{path}") for path in paths])
    one_by_one = ("--workers", "1", "--concurrency", "1", "--stage", "mystages:crash_apart")
    before = (folder / edited).read_text()
    with running_batch("urls.txt", "-o", "out.jsonl", *one_by_one, cwd=folder) as process:
        origin.wait_waiting("first")
        (folder / edited).write_text(before + "len = lambda content: -1\n")
        origin.open("first")
        origin.wait_waiting("second")
        (folder / edited).write_text(before)
        origin.open("second")
        assert process.wait() == 1, process.stderr
    found = records(folder / "out.jsonl")
    assert [record["ok"] for record in found] == [True, True, False, False, False, True]
    assert all(record["stages"]["crash_apart"] >= 0 for record in found if record["ok"]), "none is of the edited one"
    assert "died by SIGSEGV" in found[2]["error"]["message"]
    refused = {
        "kind": "stage_failed",
        "message": f"EditedStage: {folder / edited} (imported by a stage) was edited after the stage was loaded, and "
        "new values don't go with old ones: undo that, or begin anew",
        "stage": "crash_apart",
    }
    assert [record["error"] for record in found[3:5]] == [refused] * 2


def test_a_stage_that_holds_the_gil_is_named_and_its_request_given_up(origin: Origin, folder: Path) -> None:
    with_poison(folder, origin, 4, 2)
    status, said = run(folder, "stuck", DEADMAN_S="1.2")
    assert status == 1
    line = STAGES[: STAGES.index("sum(range(10**12))")].count("\n") + 1
    stage = "with stage 'mystages:stuck' of request 2 begun"
    ended = re.findall(rf"worker (\d+) has not answered for \d\.\d s, {stage}.*, and is ended", said)
    assert len(set(ended)) == len(ended) == 3, said
    # A machine that is busy elsewhere may not let every one of them answer in time.
    assert f"{stage}, in stuck ({folder / 'mystages.py'}:{line})" in said
    assert values(folder, "stuck", but=2) == [10, 11, 13]
    assert records(folder / "out.jsonl")[2]["error"]["kind"] == "worker_crashed"


HANGS = """
import time
from pathlib import Path

# How many have been here before: each makes the next file.
number = 0
while True:
    try:
        Path(f"import-{number}").touch(exist_ok=False)
        break
    except FileExistsError:
        number += 1


def hang():
    while True:
        pass


if number >= FREE:
    hang()


def size(page):
    while not all(Path(f"import-{n}").exists() for n in range(WANTED)):
        time.sleep(0.01)
    return len(page.content)
"""


def test_workers_that_hang_in_an_import_are_ended_and_the_place_is_named(origin: Origin, folder: Path) -> None:
    (folder / "mystages.py").write_text(HANGS.replace("FREE", "0"))
    with_poison(folder, origin, 4)
    status, said = run(folder, "size", workers=2, START_TIMEOUT_S="6")
    assert status == 2, said
    # Where: in the stage's module, unless the machine was busy and it had not come so far when it was asked.
    place = r"in \S+ \(.+:\d+\)"
    told = re.findall(rf"worker (\d+) is not ready after \d\.\d s, {place}", said)
    assert len(set(told)) == 2, said
    assert re.search(rf"no worker was ready after 6 s \(after 2 s one was {place}\): the import of a stage hangs", said)
    assert not list(folder.glob("out.jsonl*"))


def test_nobody_is_to_blame_for_a_worker_that_hangs_in_an_import_beside_others(origin: Origin, folder: Path) -> None:
    """The other does its work, once another has been started in its place, which nobody waits for at the end."""
    (folder / "mystages.py").write_text(HANGS.replace("FREE", "1").replace("WANTED", "3"))
    with_poison(folder, origin, 12)
    status, said = run(folder, "size", workers=2, START_TIMEOUT_S="8")
    assert status == 0, said
    assert re.search(r"worker \d+ is not ready after \d\.\d s(, in .*)?, and is ended", said)
    assert values(folder, "size", but=-1) == [n + 10 for n in range(12)]


def test_a_thread_that_never_ends_holds_nobody_up(origin: Origin, folder: Path) -> None:
    """Not its request, not the others, not the end of the process."""
    with_poison(folder, origin, 4, 2)
    status, said = run(folder, "stuck_thread")
    assert status == 1
    assert "another takes its place" not in said
    assert values(folder, "stuck_thread", but=2) == [10, 11, 13]
    error = records(folder / "out.jsonl")[2]["error"]
    assert (error["kind"], error["stage"]) == ("stage_timeout", "stuck_thread")


def test_who_holds_the_hub_gets_advice_at_the_end(origin: Origin, folder: Path) -> None:
    with_poison(folder, origin, 60)
    status, said = run(folder, "holds", "size", workers=2, SLICE_MS="0.1")
    assert status == 0
    [advice] = [line for line in said.splitlines() if "advice" in line]
    assert re.fullmatch(
        r"advice: stage 'holds' held the hub [\d.]+ ms at p99: give it runs_in='process' "
        r"\(or 'thread', if it releases the GIL\), or checkpoints",
        advice,
    )


def test_stages_are_listed() -> None:
    with running_batch("--list-stages") as process:
        assert (process.wait(), process.stderr) == (0, "")
        listed = {line.split()[0]: line.split(maxsplit=2)[1:] for line in process.stdout.splitlines()}
    assert {"sha256", "title", "links", "text", "json", "language", "image", "simhash"} <= listed.keys()
    assert listed["image"][0] == "thread"
    assert listed["title"][0] == "worker"
    assert all(len(about) == 2 and about[0] in ("worker", "thread", "process") for about in listed.values())


def test_ctrl_c_while_every_worker_computes(origin: Origin, folder: Path) -> None:
    with_poison(folder, origin, 64)
    arguments = ("urls.txt", "-o", "out.jsonl", "--workers", "2", "--stage", "mystages:spin", "--drain-timeout", "0.2")
    with running_batch(*arguments, cwd=folder) as process:
        wait_until(lambda: len(list(folder.glob("spins-*"))) == 2, "both compute")
        process.signal(signal.SIGINT)
        process.wait_for_line("draining")
        assert process.wait() == 130
        assert "this goes on: " in process.stderr
        assert "another takes its place" not in process.stderr
