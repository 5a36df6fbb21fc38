from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from hypothesis import given, settings

from app.errors import OutputError, UsageError
from app.model.outcome import Outcome
from app.sinks import parquet, streams
from app.sinks.outputs import OutputSpec, assemble, is_assembled, page_outputs, parse_outputs, warc_path
from app.sinks.record import encode_record
from tests.support.crash import deaths, in_a_fork
from tests.support.no_room import no_room_beyond
from tests.support.outcomes import LISTS
from tests.support.processes import ROOT
from tests.support.shards import as_read, as_record, outcome, shards_of

NAMES = ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.parquet", "out.warc.gz", "out/"]

pytestmark = pytest.mark.usefixtures("parquet_in_this_process")


def read(path: Path) -> bytes:
    """What is in an output, as its own readers see it."""
    if path.is_dir():
        return b"".join(shard.read_bytes() for shard in sorted(path.iterdir()))
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        return zstd.decompress(data)
    if path.suffix == ".parquet":
        return json.dumps(pq.read_table(path).to_pylist()).encode()
    return data


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.JSONL.GZ", "jsonl.gz"),
        ("a.ndjson.zst", "jsonl.zst"),
        ("a.b.parquet", "parquet"),
        ("a.warc.gz", "warc.gz"),
        ("a.jsonl/", "folder"),
    ],
)
def test_the_name_says_the_kind(text: str, kind: str, tmp_path: Path) -> None:
    spec = OutputSpec.parse(f"{tmp_path}/{text}")
    assert (spec.kind, str(spec), spec.path) == (kind, f"{tmp_path}/{text}", tmp_path / text)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=OutputSpec) == spec


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("-", "standard output"),
        ("", "is no name"),
        ("..", "is no name"),
        ("/", "is no name"),
        ("missing/a.jsonl", "no folder missing"),
        ("a.parqet", "must end in .jsonl, .jsonl.gz, .jsonl.zst, .parquet, .warc.gz, or in /"),
        ("a.warc", "must end in"),
        ("jsonl", "must end in"),
    ],
)
def test_what_is_no_output(text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=why):
        OutputSpec.parse(text)


def test_one_place_is_one_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    specs = parse_outputs(["a.jsonl", "a.warc.gz", "b.jsonl"])
    assert page_outputs(specs).warc
    assert not page_outputs(specs[::2])
    for twice in (["a.jsonl", "./a.jsonl"], ["a.jsonl", "a.jsonl/"]):
        with pytest.raises(UsageError, match=f"^-o {twice[0]} and -o {twice[1]} are the same place"):
            parse_outputs(twice)


def test_a_body_store_is_made_at_once(tmp_path: Path) -> None:
    wanted = page_outputs([], f"{tmp_path}/bodies/here")
    assert (wanted.bodies, wanted.warc, bool(wanted)) == (f"{tmp_path}/bodies/here", False, True)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--store-bodies .*: it is a file"):
        page_outputs([], f"{tmp_path}/file")


@settings(max_examples=30, deadline=None)
@given(made=LISTS)
def test_records_of_any_shape_survive(tmp_path_factory: pytest.TempPathFactory, made: list[Outcome]) -> None:
    folder = tmp_path_factory.mktemp("round")
    shards = shards_of(folder, made)
    lines = b"".join(encode_record(each) + b"\n" for each in made)
    for name in ("out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out/"):
        spec = OutputSpec.parse(f"{folder}/{'f' if name == 'out/' else ''}{name}")
        assemble(spec, iter(shards) if name != "out/" else shards, folder)
        if name != "out/":
            assert read(spec.path) == lines
    assert b"".join(shard.read_bytes() for shard in sorted((folder / "fout").glob("*.jsonl"))) == lines

    assemble(OutputSpec.parse(f"{folder}/out.parquet"), shards, folder)
    rows = pq.read_table(folder / "out.parquet").to_pylist()
    assert [as_record(row) for row in rows] == [as_read(json.loads(line)) for line in lines.splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_an_output_of_nothing(tmp_path: Path, name: str) -> None:
    spec = OutputSpec.parse(f"{tmp_path}/{name}")
    assemble(spec, [], tmp_path)
    assert read(spec.path) in (b"", b"[]")


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_death_at_any_moment_is_made_good_by_the_same_again(tmp_path: Path, name: str, replace: bool) -> None:
    work = tmp_path / "work"
    shards = shards_of(work, [outcome(index) for index in range(3)])
    spec = OutputSpec.parse(f"{tmp_path}/{name}")
    earlier = shards_of(tmp_path / "earlier", [outcome(7)])
    assemble(spec, shards, work)
    whole = read(spec.path)

    def begin_again() -> bytes | None:
        """On top of another output, or of none."""
        remove(spec.path)
        if not replace:
            return None
        assemble(spec, earlier, tmp_path / "earlier", replace=True)
        return read(spec.path)

    before = begin_again()
    lasting = fleeting = 0
    for step in deaths(lambda: assemble(spec, iter(shards), work, replace=replace), tmp_path):
        if is_assembled(spec, work):
            lasting += 1
            assert read(spec.path) == whole, step
        else:
            fleeting += 1
            # Until the new one comes, the old one stays; a folder is away for the time between two renames.
            found = read(spec.path) if spec.path.exists() else None
            assert found == before or (spec.kind == "folder" and found is None), step
        assemble(spec, iter(shards), work, replace=replace)
        assert read(spec.path) == whole, step
        assert is_assembled(spec, work)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["earlier", spec.path.name, "work"]), step
        assert begin_again() == before
    assert lasting > 1 < fleeting, "deaths came before it was published and after"


def remove(path: Path) -> None:
    if path.is_dir():
        for each in path.iterdir():
            each.unlink()
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_ours_is_not_replaced(tmp_path: Path, name: str) -> None:
    shards = shards_of(tmp_path / "work", [outcome(0)])
    spec = OutputSpec.parse(f"{tmp_path}/{name}")

    def and_then_somebody_comes() -> Any:
        yield from shards
        if spec.kind == "folder":
            spec.path.mkdir()
            (spec.path / "theirs").touch()
        else:
            spec.path.write_text("theirs")

    with pytest.raises(OutputError, match="has appeared since the start"):
        assemble(spec, and_then_somebody_comes(), tmp_path / "work")
    with pytest.raises(OutputError, match="has appeared since the start"):
        assemble(spec, shards, tmp_path / "work")
    assert not is_assembled(spec, tmp_path / "work")
    assert sorted(path.name for path in tmp_path.iterdir()) == [spec.path.name, "work"]
    assemble(spec, shards, tmp_path / "work", replace=True)
    assert is_assembled(spec, tmp_path / "work")
    assert not (spec.path / "theirs").exists()


def test_one_that_was_changed_afterwards_is_no_longer_ours(tmp_path: Path) -> None:
    shards = shards_of(tmp_path / "work", [outcome(0)])
    spec = OutputSpec.parse(f"{tmp_path}/out.jsonl")
    assemble(spec, shards, tmp_path / "work")
    with spec.path.open("a") as file:
        file.write("more\n")
    with pytest.raises(OutputError, match="has appeared"):
        assemble(spec, shards, tmp_path / "work")


@pytest.mark.parametrize("name", NAMES)
def test_two_places_of_one_name_are_told_apart(tmp_path: Path, name: str) -> None:
    shards = shards_of(tmp_path / "work", [outcome(0)])
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (OutputSpec.parse(f"{tmp_path}/{folder}/{name}") for folder in "ab")
    assemble(first, shards, tmp_path / "work")
    assert not is_assembled(second, tmp_path / "work")
    assemble(second, shards, tmp_path / "work")
    assert is_assembled(first, tmp_path / "work")


@pytest.mark.parametrize("name", ["out.jsonl", "out/"])
def test_without_links_it_is_renamed_or_copied(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    shards = shards_of(tmp_path / "work", [outcome(index) for index in range(3)])
    spec = OutputSpec.parse(f"{tmp_path}/{name}")
    for _ in deaths(lambda: assemble(spec, shards, tmp_path / "work"), tmp_path):
        assemble(spec, shards, tmp_path / "work")
        assert read(spec.path) == b"".join(shard.read_bytes() for shard in shards)
        remove(spec.path)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "out/"])
def test_a_full_disk_is_one_error_and_leaves_the_shards_alone(tmp_path: Path, name: str) -> None:
    noise = [outcome(index, body=os.urandom(3000).hex()) for index in range(200)]
    shards = shards_of(tmp_path / "work", noise, size=100)
    for shard in shards:
        warc_path(shard).write_bytes(os.urandom(300_000))
    spec = OutputSpec.parse(f"{tmp_path}/{name}")

    def refused() -> None:
        with no_room_beyond(100_000), pytest.raises(OutputError, match=f"can't write .*{name}: File too large"):
            assemble(spec, shards, tmp_path / "work")

    assert in_a_fork(refused) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["work"]
    assemble(spec, shards, tmp_path / "work")
    assert is_assembled(spec, tmp_path / "work")


def test_a_missing_shard_is_one_error(tmp_path: Path) -> None:
    shards = shards_of(tmp_path / "work", [outcome(0)])
    for name in NAMES:
        with pytest.raises(OutputError, match=r"No such file or directory: .*gone"):
            assemble(OutputSpec.parse(f"{tmp_path}/{name}"), [*shards, tmp_path / "gone.jsonl"], tmp_path / "work")
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "out/"])
def test_memory_does_not_follow_the_number_of_records(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 100)
    shards = shards_of(tmp_path / "work", [outcome(index, body=os.urandom(500).hex()) for index in range(600)], 200)
    spec = OutputSpec.parse(f"{tmp_path}/{name}")

    def peak_bytes(times: int) -> int:
        pool = pa.proxy_memory_pool(pa.system_memory_pool())
        monkeypatch.setattr(parquet, "_pool", lambda arrow: pool)
        tracemalloc.start()
        try:
            assemble(spec, (shard for _ in range(times) for shard in shards), tmp_path / "work", replace=True)
            return tracemalloc.get_traced_memory()[1] + pool.max_memory()
        finally:
            tracemalloc.stop()
            spec.path.unlink()

    peak_bytes(1)
    few, many = peak_bytes(2), peak_bytes(20)
    assert many < 1.3 * few + 100_000, (few, many)


def test_the_parent_needs_neither_gevent_nor_pyarrow_for_it() -> None:
    script = """
        import sys
        import app.sinks.outputs
        print([name for name in ("gevent", "pycurl", "requests", "pyarrow") if name in sys.modules])
    """
    command = [sys.executable, "-c", "\n".join(line.strip() for line in script.splitlines())]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.strip() == b"[]"
