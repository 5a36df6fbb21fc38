"""A batch that is killed, interrupted, crashed or out of disk: nothing is lost, and it goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.batch import COMMAND, children_of, records, run_batch, running_batch, write_list
from tests.support.needs import require
from tests.support.origin import Origin, running_origin
from tests.support.processes import HANG_GUARD_S, ROOT, Running, is_alive, limit_files, running_process, wait_until

COUNT = 120


@pytest.fixture
def source(origin: Origin, tmp_path: Path) -> Path:
    """A list whose every tenth request waits at a gate."""
    urls = [origin.url(f"/gate/held?n={n}" if n % 10 == 9 else f"/ok/{n}") for n in range(COUNT)]
    return write_list(tmp_path / "urls.txt", urls)


def with_poison(folder: Path, origin: Origin, count: int) -> Path:
    """A list whose sixth request is poison for the stages that die of it."""
    return write_list(folder / "urls.txt", (origin.url(f"/ok?{'poison' if n == 5 else n}") for n in range(count)))


def assert_whole(output: Path) -> None:
    assert [record["index"] for record in records(output)] == list(range(COUNT))
    assert all(record["ok"] for record in records(output))
    assert not output.with_name(output.name + ".percore").exists()


def recorded(work: Path) -> int:
    """How many requests have their record in a work folder, whose files may be moved as we look."""
    lines: set[bytes] = set()
    for path in work.rglob("*.jsonl"):
        with contextlib.suppress(FileNotFoundError):
            lines.update(path.read_bytes().splitlines())
    return len(lines)


def wait_for_all_but_the_held(origin: Origin, work: Path) -> None:
    """Until a run of `source` has recorded all that does not wait at the gate."""
    origin.wait_waiting("held", n=COUNT // 10)
    wait_until(lambda: recorded(work) == COUNT - COUNT // 10, "the rest is recorded")


def kill_parent(process: Running) -> None:
    """And wait until its children are gone too."""
    children = children_of(process.pid)
    process.signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(map(is_alive, children)), "the children follow")


def test_a_killed_child_is_replaced_and_its_shards_go_on(origin: Origin, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with running_batch(
        source, "-o", output, "--workers", "1", "--concurrency", "200", "--per-origin", "200"
    ) as process:
        wait_for_all_but_the_held(origin, tmp_path / "out.jsonl.percore")
        (child,) = children_of(process.pid)
        os.kill(child, signal.SIGKILL)
        process.wait_for_line("another takes its place")
        origin.wait_waiting("held", n=COUNT // 10)
        origin.open("held")
        assert process.wait() == 0
        assert "120 records: 120 ok, 0 failed" in process.stderr
    assert_whole(output)
    counts = origin.counts().requests
    assert all(counts[f"/ok/{n}"] == 1 for n in range(COUNT) if n % 10 != 9), "what is recorded is not fetched again"


def test_everything_killed_then_the_same_command(origin: Origin, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    arguments = [source, "-o", output, "--workers", "2", "--concurrency", "200", "--per-origin", "200"]
    with running_batch(*arguments) as process:
        wait_for_all_but_the_held(origin, tmp_path / "out.jsonl.percore")
        kill_parent(process)
    assert not output.exists()
    origin.open("held")
    status, said = run_batch(*arguments)
    assert status == 0
    assert f"{COUNT - COUNT // 10} from an earlier run" in said
    assert_whole(output)
    counts = origin.counts().requests
    assert all(counts[f"/ok/{n}"] == 1 for n in range(COUNT) if n % 10 != 9)


def test_children_that_compute_follow_their_parent_too(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok")])
    arguments = ["--stage", "tests.support.stages:spin", "--workers", "1"]
    with running_batch(source, "-o", tmp_path / "out.jsonl", *arguments) as process:
        wait_until(lambda: origin.counts().total == 1, "the page is fetched")
        kill_parent(process)


@pytest.mark.parametrize(
    ("stage", "between"),
    [("spin", ["draining", "letting go"]), ("hold_the_gil", ["draining"])],
    ids=["three times for a loop", "twice for native code that never looks up"],
)
def test_ctrl_c_ends_a_stage_that_never_does(origin: Origin, tmp_path: Path, stage: str, between: list[str]) -> None:
    """After each but the last, a line says what it did."""
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok")])
    arguments = ["--stage", f"tests.support.stages:{stage}", "--workers", "1", "--drain-timeout", "3600"]
    with running_batch(source, "-o", tmp_path / "out.jsonl", *arguments) as process:
        wait_until(lambda: origin.counts().total == 1, "the page is fetched")
        process.signal(signal.SIGINT)
        for line in between:
            process.wait_for_line(line)
            process.signal(signal.SIGINT)
        assert process.wait() == 130


def test_a_child_that_is_still_importing_is_not_waited_for(origin: Origin, tmp_path: Path) -> None:
    """It hears nothing, and has nothing in hand: the drain limit is for those that have."""
    source = write_list(tmp_path / "urls.txt", [origin.url("/ok")])
    imports = tmp_path / "imports"
    arguments = [source, "-o", tmp_path / "out.jsonl", "--stage", "tests.support.waits_at_import:nothing"]
    with running_batch(*arguments, "--drain-timeout", "3600", WAITS_AT_IMPORT=str(imports)) as process:
        wait_until(imports.exists, "a child imports")
        process.signal(signal.SIGINT)
        assert process.wait() == 130
        assert "nothing is lost" in process.stderr
    assert run_batch(*arguments)[0] == 0
    assert [record["index"] for record in records(tmp_path / "out.jsonl")] == [0]


def test_ctrl_c_while_it_is_being_imported_says_nothing(tmp_path: Path) -> None:
    """Of a package that it imports early: there is nobody yet who could catch the signal."""
    begun = tmp_path / "begun"
    (tmp_path / "click.py").write_text(
        f"import pathlib, signal\npathlib.Path({str(begun)!r}).touch()\nsignal.pause()\n"
    )
    with running_batch("urls.txt", "-o", "out.jsonl", PYTHONPATH=str(tmp_path)) as process:
        wait_until(begun.exists, "it imports")
        process.signal(signal.SIGINT)
        assert process.wait() == -signal.SIGINT
        assert process.stderr == ""


def test_what_a_stage_has_left_for_the_end_is_done_when_it_drains(origin: Origin, tmp_path: Path) -> None:
    source = write_list(tmp_path / "urls.txt", map(origin.url, ["/ok", "/gate/held"]))
    (tmp_path / "ending.py").write_text(
        "import atexit, pathlib\n"
        "atexit.register(lambda: print('all done', flush=False))\n"
        "def stage(page):\n    return 1\n"
    )
    arguments = ["--stage", "ending:stage", "--workers", "1", "--drain-timeout", "0"]
    with running_batch(source, "-o", tmp_path / "out.jsonl", *arguments, cwd=tmp_path, PYTHONPATH=str(ROOT)) as process:
        origin.wait_waiting("held", n=1)
        process.signal(signal.SIGINT)
        assert process.wait() == 130
        assert "all done" in process.stderr


def test_ctrl_c_drains_and_the_same_command_goes_on(origin: Origin, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    arguments = [source, "-o", output, "--workers", "1", "--concurrency", "10", "--drain-timeout", "3600"]
    with running_batch(*arguments) as process:
        origin.wait_waiting("held", n=8)
        process.signal(signal.SIGINT)
        process.wait_for_line("draining")
        origin.open("held")
        assert process.wait() == 130
        assert "nothing is lost" in process.stderr
    work = tmp_path / "out.jsonl.percore"
    before = recorded(work)
    assert 8 <= before < COUNT, "what was in flight was recorded, and nothing new was begun for long"
    asked = origin.counts().total
    status, _ = run_batch(*arguments)
    assert status == 0
    assert_whole(output)
    assert origin.counts().total == asked + COUNT - before, "nothing is fetched twice"


def test_ctrl_c_twice_lets_go_at_once(origin: Origin, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with running_batch(source, "-o", output, "--drain-timeout", "3600") as process:
        origin.wait_waiting("held", n=8)
        process.signal(signal.SIGINT)
        process.wait_for_line("draining")
        process.signal(signal.SIGINT)
        assert process.wait() == 130
    wait_until(lambda: origin.counts().in_flight == 0, "nobody fetches any more")
    origin.open("held")
    assert run_batch(source, "-o", output, "--drain-timeout", "3600")[0] == 0
    assert_whole(output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_are_the_first_step(origin: Origin, source: Path, tmp_path: Path, number: int) -> None:
    with running_batch(source, "-o", tmp_path / "out.jsonl", "--drain-timeout", "0") as process:
        origin.wait_waiting("held", n=8)
        process.signal(number)
        assert process.wait() == 130


def test_ctrl_c_while_standard_input_is_silent(tmp_path: Path) -> None:
    with running_batch("-", "-o", tmp_path / "out.jsonl", stdin=subprocess.PIPE) as process:
        wait_until(lambda: len(children_of(process.pid)) > 0, "it has children")
        process.signal(signal.SIGINT)
        assert process.wait() == 130
        assert "Traceback" not in process.stderr
        assert "Fatal" not in process.stderr


def test_a_request_that_kills_its_worker_is_given_up(origin: Origin, tmp_path: Path) -> None:
    source = with_poison(tmp_path, origin, 64)
    arguments = ["--stage", "tests.support.stages:die", "--workers", "2", "--shard-size", "8"]
    status, said = run_batch(source, "-o", tmp_path / "out.jsonl", *arguments)
    assert status == 1
    got = records(tmp_path / "out.jsonl")
    assert [record["index"] for record in got] == list(range(64))
    crashed = [record["index"] for record in got if not record["ok"]]
    assert crashed == [5], "nobody else pays for it"
    assert got[5]["error"]["kind"] == "worker_crashed"
    assert said.count("another takes its place") == 3


def test_a_crash_is_seen_though_a_fork_holds_everything_open(origin: Origin, tmp_path: Path) -> None:
    source = with_poison(tmp_path, origin, 16)
    arguments = ["--stage", "tests.support.stages:fork_and_die", "--workers", "1"]
    with running_batch(source, "-o", tmp_path / "out.jsonl", *arguments) as process:
        assert process.wait() == 1
        assert process.session() == [], "what the stage left is ended with its worker"
    assert [record["index"] for record in records(tmp_path / "out.jsonl") if not record["ok"]] == [5]


def test_draining_begins_nothing_new(origin: Origin, tmp_path: Path) -> None:
    """Requests that wait for their origin's slot are not in flight."""
    source = write_list(tmp_path / "urls.txt", (origin.url(f"/gate/held?{n}") for n in range(100)))
    arguments = ["--workers", "1", "--per-origin", "4", "--drain-timeout", "3600"]
    with running_batch(source, "-o", tmp_path / "out.jsonl", *arguments, PERCORE_LOG_LEVEL="debug") as process:
        origin.wait_waiting("held", n=4)
        process.signal(signal.SIGINT)
        process.wait_for_line("begins nothing new")
        origin.open("held")
        assert process.wait() == 130
    assert origin.counts().total == 4
    assert recorded(tmp_path / "out.jsonl.percore") == 4


def test_a_spoiled_shard_is_done_again(origin: Origin, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    arguments = [source, "-o", output, "--drain-timeout", "0"]
    with running_batch(*arguments) as process:
        origin.wait_waiting("held", n=8)
        wait_until(lambda: list((tmp_path / "out.jsonl.percore/shards").glob("*.jsonl")), "a shard is finished")
        process.signal(signal.SIGINT)
        assert process.wait() == 130
    shard = next((tmp_path / "out.jsonl.percore/shards").glob("*.jsonl"))
    shard.write_bytes(shard.read_bytes()[:10])
    origin.open("held")
    assert run_batch(*arguments)[0] == 0
    assert_whole(output)


def test_an_output_that_appears_meanwhile_is_left_alone(origin: Origin, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with running_batch(source, "-o", output) as process:
        origin.wait_waiting("held", n=1)
        output.write_text("precious")
        origin.open("held")
        assert process.wait() == 3, process.stderr
        assert "has appeared since the start" in process.stderr
    assert output.read_text() == "precious"
    output.unlink()
    assert run_batch(source, "-o", output)[0] == 0
    assert_whole(output)


def test_a_child_killed_before_it_is_ready_is_replaced(origin: Origin, source: Path, tmp_path: Path) -> None:
    with running_batch(source, "-o", tmp_path / "out.jsonl", "--workers", "1") as process:
        (child,) = wait_until(lambda: children_of(process.pid), "it has a child")
        os.kill(child, signal.SIGKILL)
        origin.open("held")  # not earlier, or all might be done before the kill
        assert process.wait() == 0
    assert_whole(tmp_path / "out.jsonl")


def test_a_child_that_can_not_be_replaced_ends_the_run(origin: Origin, source: Path, tmp_path: Path) -> None:
    """The parent has no descriptors left."""
    output = tmp_path / "out.jsonl"
    with running_batch(source, "-o", output, "--workers", "2") as process:
        origin.wait_waiting("held", n=8)
        limit_files(process.pid, 3)
        os.kill(children_of(process.pid)[0], signal.SIGKILL)
        assert process.wait() == 3, process.stderr
        assert (
            "can't start a worker: Too many open files (raise `ulimit -n`, or lower --workers); what was written"
        ) in process.stderr
        assert "Traceback" not in process.stderr
        assert process.session() == []
    origin.open("held")
    assert run_batch(source, "-o", output)[0] == 0
    assert_whole(output)


def test_nohup_is_respected(origin: Origin, source: Path, tmp_path: Path) -> None:
    command = ["nohup", *COMMAND, str(source), "-o", str(tmp_path / "out.jsonl"), "--progress", "none"]
    with running_process(command) as process:
        origin.wait_waiting("held", n=1)
        process.signal(signal.SIGHUP)
        origin.open("held")
        assert process.wait() == 0
    assert_whole(tmp_path / "out.jsonl")


def test_few_descriptors_and_many_origins(tmp_path: Path) -> None:
    hosts = [f"127.0.{n // 250}.{n % 250 + 1}" for n in range(300)]
    with running_origin("0.0.0.0") as everywhere:
        urls = [f"http://{host}:{everywhere.port}/ok?{n}" for host in hosts for n in range(4)]
        source = write_list(tmp_path / "urls.txt", urls)
        batch = [*COMMAND, str(source), "-o", str(tmp_path / "out.jsonl"), "--progress", "none", "--workers", "1"]
        command = ["bash", "-c", 'ulimit -n 400; exec "$@"', "-", *batch, "--retries", "0", "--concurrency", "100"]
        with running_process(command) as process:
            assert process.wait(timeout_s=100) == 0, process.stderr


def test_the_same_command_twice_at_once(origin: Origin, source: Path, tmp_path: Path) -> None:
    with running_batch(source, "-o", tmp_path / "out.jsonl") as process:
        origin.wait_waiting("held", n=1)
        status, said = run_batch(source, "-o", tmp_path / "out.jsonl")
        assert (status, said) == (
            2, f"fetch-batch: another fetch-batch (process {process.pid}) is writing {tmp_path}/out.jsonl\n",
        )  # fmt: skip
        origin.open("held")
        assert process.wait() == 0
    assert_whole(tmp_path / "out.jsonl")


def test_another_jobs_work_is_not_gone_on_with(origin: Origin, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with running_batch(source, "-o", output, "--drain-timeout", "0") as process:
        origin.wait_waiting("held", n=1)
        process.signal(signal.SIGINT)
        assert process.wait() == 130
    status, said = run_batch(source, "-o", output, "--stage", "title")
    assert status == 2
    assert "--fresh starts over" in said
    origin.open("held")
    assert run_batch(source, "-o", output, "--stage", "title", "--fresh")[0] == 0
    assert_whole(output)


def test_a_full_disk_is_said_and_what_was_written_is_whole(origin: Origin, tmp_path: Path) -> None:
    """On a small tmpfs of its own mount namespace, so that the disk is really full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    source = write_list(tmp_path / "urls.txt", (origin.url(f"/ok/20000?{n}") for n in range(200)))
    batch = [*COMMAND, str(source), "-o", str(disk / "out.jsonl"), "--body", "text", "--progress", "none"]
    keep = tmp_path / "kept"
    script = 'mount -t tmpfs -o size=512k tmpfs "$0" && shift 0; "$@"; status=$?; cp -r "$0" "$KEEP"; exit $status'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, str(disk), *batch]
    probe = subprocess.run(["unshare", "--mount", "--map-root-user", "true"], capture_output=True, check=False)
    require(probe.returncode == 0, "mount namespaces", how="run as root, or allow user namespaces")
    with running_process(command, env=os.environ | {"KEEP": str(keep)}) as process:
        assert process.wait(timeout_s=4 * HANG_GUARD_S) == 3
        assert "No space left on device" in process.stderr
        assert process.stderr.count("\n") == 1, process.stderr
    work = keep / "out.jsonl.percore"
    lines = [line for path in work.rglob("*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]
    assert lines
    assert all(line.endswith(b"}\n") for line in lines)
    assert not (keep / "out.jsonl").exists()
