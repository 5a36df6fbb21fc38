from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.errors import BrokenInput, OutputError
from app.model.outcome import Outcome
from app.sinks import parquet_process
from app.sinks.outputs import OutputSpec, assemble
from app.sinks.parquet_process import read_parquet_apart, write_parquet_apart
from app.sinks.record import encode_record
from tests.support.crash import in_a_fork
from tests.support.no_room import no_room_beyond
from tests.support.processes import ROOT, wait_until


def shard(folder: Path, *indexes: int, body: str = "") -> Path:
    path = folder / f"{indexes[0]:06d}.jsonl"
    outcomes = [Outcome(index=index, url="http://a/", ok=True, body=body) for index in indexes]
    path.write_bytes(b"".join(encode_record(each) + b"\n" for each in outcomes))
    return path


def test_shards_become_a_file_and_its_records_again(tmp_path: Path) -> None:
    (tmp_path / "odd \udcff\nname").mkdir()
    shards = [shard(tmp_path, 0, 1), shard(tmp_path / "odd \udcff\nname", 2)]
    spec = OutputSpec.parse(f"{tmp_path}/out.parquet")
    assemble(spec, shards, tmp_path)
    assert pq.read_table(spec.path)["index"].to_pylist() == [0, 1, 2]
    assert b"".join(read_parquet_apart(spec.path)) == b"".join(each.read_bytes() for each in shards)
    assert not parquet_processes()


def parquet_processes() -> list[int]:
    """Children of ours that do Parquet. There may be others, of tests before."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(child) for child in children if b"parquet_program" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_who_asks_for_it_stays_small(tmp_path: Path) -> None:
    shard(tmp_path, 0)
    script = f"""
        import sys
        from pathlib import Path
        from app.sinks.outputs import OutputSpec, assemble
        from app.sinks.parquet_process import read_parquet_apart
        folder = Path({str(tmp_path)!r})
        spec = OutputSpec.parse(str(folder / "out.parquet"))
        assemble(spec, [folder / "000000.jsonl"], folder)
        print(len(list(read_parquet_apart(spec.path))))
        print([name for name in ("gevent", "pycurl", "requests", "pyarrow") if name in sys.modules])
    """
    command = [sys.executable, "-c", "\n".join(line.strip() for line in script.splitlines())]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.split() == [b"1", b"[]"]


def test_a_shard_that_is_gone_is_one_error(tmp_path: Path) -> None:
    spec = OutputSpec.parse(f"{tmp_path}/out.parquet")
    with pytest.raises(OutputError, match=r"can't write .*out.parquet: No such file or directory: .*gone.jsonl"):
        assemble(spec, [shard(tmp_path, 0), tmp_path / "gone.jsonl"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["000000.jsonl"]


def test_who_counts_the_shards_is_not_far_ahead_of_the_process(tmp_path: Path) -> None:
    """Which waits in the first one until it is written, and has not taken the name of the 200th then."""
    first = shard(tmp_path, 0)
    content = first.read_bytes()
    first.unlink()
    os.mkfifo(first)
    is_written = threading.Event()
    ahead = []

    def counted() -> Iterator[Path]:
        yield first
        for number in range(1, 400):
            if number == 200:
                ahead.append(not is_written.is_set())
            yield shard(tmp_path, number)

    def write() -> None:
        with first.open("wb") as pipe:
            is_written.set()
            pipe.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    with open(tmp_path / "out.parquet", "wb") as out:
        write_parquet_apart(counted(), out)
    writer.join()
    assert ahead == [False]
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == 400


def test_a_full_disk_is_one_error(tmp_path: Path) -> None:
    shards = [shard(tmp_path, index, body=os.urandom(50_000).hex()) for index in range(20)]

    def refused() -> None:
        with no_room_beyond(200_000), pytest.raises(OutputError, match=r"can't write .*out.parquet: File too large"):
            assemble(OutputSpec.parse(f"{tmp_path}/out.parquet"), shards, tmp_path)

    assert in_a_fork(refused) == 0
    assert not list(tmp_path.glob("out*"))


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    with pytest.raises(BrokenInput, match="its data is damaged"):
        list(read_parquet_apart(shard(tmp_path, 0)))
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/gone"):
        list(read_parquet_apart(tmp_path / "gone"))


def test_a_process_that_is_killed_is_one_error(tmp_path: Path) -> None:
    def shards() -> Iterator[Path]:
        yield shard(tmp_path, 0)
        (child,) = wait_until(parquet_processes, "its command line can be read")
        os.kill(child, signal.SIGKILL)
        yield from (shard(tmp_path, index) for index in range(1, 10_000))

    with pytest.raises(OutputError, match="the process that does Parquet was ended by SIGKILL"):
        assemble(OutputSpec.parse(f"{tmp_path}/out.parquet"), shards(), tmp_path)
    assert not list(tmp_path.glob("out*"))


def test_a_defect_is_told_with_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "000000.jsonl"
    path.write_bytes(b"no record\n")
    with (tmp_path / "out").open("wb") as out, pytest.raises(OSError, match=r"ended with status 1 \(.*DecodeError"):
        write_parquet_apart([path], out)


def test_who_reads_no_further_leaves_no_process_behind(tmp_path: Path) -> None:
    spec = OutputSpec.parse(f"{tmp_path}/out.parquet")
    assemble(spec, [shard(tmp_path, *range(2000), body="x" * 100)], tmp_path)
    lines = read_parquet_apart(spec.path)
    next(lines)
    assert len(wait_until(parquet_processes, "its command line can be read")) == 1
    lines.close()  # type: ignore[attr-defined]
    assert not parquet_processes()


def test_who_is_interrupted_does_not_wait_for_it(tmp_path: Path) -> None:
    def shards() -> Iterator[Path]:
        (child,) = wait_until(parquet_processes, "its command line can be read")
        os.kill(child, signal.SIGSTOP)
        yield shard(tmp_path, 0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assemble(OutputSpec.parse(f"{tmp_path}/out.parquet"), shards(), tmp_path)
    assert not parquet_processes()
    assert not list(tmp_path.glob("out*"))


def test_it_ends_with_who_asked_for_it(tmp_path: Path) -> None:
    """A kill of the asker, with the list of shards still open, must not leave it waiting for the rest."""
    script = f"""
        import os, subprocess, sys
        command = [sys.executable, "-P", "-m", {parquet_process._PROGRAM!r}, "write", str(os.getpid())]
        read, write = os.pipe()
        child = subprocess.Popen(command, stdin=read, stdout=subprocess.DEVNULL, pass_fds=[write])
        while "libarrow" not in open(f"/proc/{{child.pid}}/maps").read(): pass  # it is at work
        print(child.pid, flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", "\n".join(line.strip() for line in script.splitlines())]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asker:
        assert asker.stdout is not None
        child = os.pidfd_open(int(asker.stdout.readline()))
        asker.kill()
    assert select.select([child], [], [], 60)[0], "it has ended"
    os.close(child)
