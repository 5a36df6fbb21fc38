from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from hypothesis import given, settings

from app.errors import BrokenInput, OutputError, UsageError
from app.model.outcome import Outcome
from app.sinks import outputs, parquet, streams
from app.sinks.jsonl import JsonlPart
from app.sinks.outputs import OutputSpec, assemble, is_assembled, page_outputs, parse_outputs, warc_path
from app.sinks.record import encode_record
from tests.support.crash import deaths, in_a_fork
from tests.support.needs import require_program
from tests.support.outcomes import LISTS
from tests.support.processes import ROOT

NAMES = ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.parquet", "out.warc.gz", "out/"]


@pytest.fixture(autouse=True)
def parquet_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in one of its own (tests/unit/test_parquet_process.py), which would be some hundred times half a second."""
    monkeypatch.setitem(outputs._WRITERS, "parquet", parquet.write_parquet)


def outcome(index: int, **fields: Any) -> Outcome:
    return Outcome(index=index, url=f"http://a/{index}", ok=True, **fields)


def shards_of(folder: Path, outcomes: Sequence[Outcome], size: int = 2) -> list[Path]:
    """Finished shards of `size` records, and for each a file that stands for its WARC."""
    paths = []
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    for number in range(-(-len(outcomes) // size)):
        path = folder / "shards" / f"{number:06d}.jsonl"
        part = JsonlPart(folder / "part")
        part.append(outcomes[number * size : (number + 1) * size][::-1])
        part.finish(path)
        warc_path(path).write_bytes(gzip.compress(b"captures %d\n" % number))
        paths.append(path)
    return paths


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


def test_parquet_without_pyarrow_is_refused_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sinks.outputs.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=rf"{sys.executable} -m pip install 'pyarrow>="):
        OutputSpec.parse("a.parquet")
    OutputSpec.parse("a.jsonl")


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


@settings(max_examples=60, deadline=None)
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


@settings(max_examples=60, deadline=None)
@given(made=LISTS)
def test_records_of_any_shape_come_back_out_of_parquet(
    tmp_path_factory: pytest.TempPathFactory, made: list[Outcome]
) -> None:
    folder = tmp_path_factory.mktemp("back")
    assemble(OutputSpec.parse(f"{folder}/out.parquet"), shards_of(folder, made), folder)
    lines = list(parquet.read_parquet(folder / "out.parquet"))
    asked = [each if each.id is msgspec.UNSET else msgspec.structs.replace(each, id=str(each.id)) for each in made]
    assert [json.loads(line) for line in lines] == [json.loads(encode_record(each)) for each in asked]
    assert [list(json.loads(line)) for line in lines] == [list(json.loads(encode_record(each))) for each in asked]
    (folder / "again.jsonl").write_bytes(b"".join(lines))
    with (folder / "again.parquet").open("wb") as out:
        parquet.write_parquet([folder / "again.jsonl"], out)
    assert pq.read_table(folder / "again.parquet") == pq.read_table(folder / "out.parquet")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda data: data[:-100], "its data is damaged"),
        (lambda data: data[:200] + bytes(1000) + data[1200:], "its data is damaged"),
        (lambda data: b"", "its data is damaged"),
        (None, "its columns are not those of a record"),
    ],
)
def test_what_is_no_table_of_records(spoil: Callable[[bytes], bytes] | None, why: str, tmp_path: Path) -> None:
    spec = OutputSpec.parse(f"{tmp_path}/out.parquet")
    assemble(spec, shards_of(tmp_path, [outcome(index, body="x" * 50) for index in range(200)]), tmp_path)
    if spoil is None:
        pq.write_table(pa.table({"url": ["http://a/"]}), spec.path)
    else:
        spec.path.write_bytes(spoil(spec.path.read_bytes()))
    with pytest.raises(BrokenInput, match=why):
        list(parquet.read_parquet(spec.path))


def test_a_table_of_an_earlier_version_has_fewer_columns_at_its_end(tmp_path: Path) -> None:
    spec = OutputSpec.parse(f"{tmp_path}/out.parquet")
    assemble(spec, shards_of(tmp_path, [outcome(0, body="x")]), tmp_path)
    before = list(parquet.read_parquet(spec.path))
    table = pq.read_table(spec.path)
    for columns in (["cache"], ["warc_id", "body_sha256", "cache"]):
        pq.write_table(table.drop_columns(columns), spec.path)
        assert list(parquet.read_parquet(spec.path)) == before
    for columns in (["body_sha256", "error"], ["url"]):
        pq.write_table(table.drop_columns(columns), spec.path)
        with pytest.raises(BrokenInput, match="its columns are not"):
            list(parquet.read_parquet(spec.path))


def as_record(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table as the record that it was."""
    record = {name: value for name, value in row.items() if value is not None}
    record["headers"] = dict(row["headers"])
    for name in ("stages", "meta"):
        if name in record:
            record[name] = json.loads(record[name])
    return record


def as_read(record: dict[str, Any]) -> dict[str, Any]:
    """A record, but for what the table does not tell apart: null and absent, an id's number and its text."""
    if record.get("error"):
        record["error"].setdefault("stage", None)
    if "meta" in record and record["meta"] is None:
        return as_read({name: value for name, value in record.items() if name != "meta"}) | {"meta": None}
    if "id" in record:
        record["id"] = str(record["id"])
    return {name: value for name, value in record.items() if value is not None}


def test_the_columns_are_the_records_fields_in_their_order() -> None:
    assert parquet._schema(pa).names == list(Outcome.__struct_fields__)


def test_row_groups_are_bounded_by_rows_and_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 3)
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 5000)
    shards = shards_of(tmp_path, [outcome(index, body="x" * 4900 * (index in (3, 4))) for index in range(10)])
    spec = OutputSpec.parse(f"{tmp_path}/out.parquet")
    assemble(spec, shards, tmp_path)
    found = pq.ParquetFile(spec.path).metadata
    # Three; one of 5,000 bytes and another; three; what is left.
    assert [found.row_group(group).num_rows for group in range(found.num_row_groups)] == [3, 1, 1, 3, 2]


@pytest.mark.parametrize(
    ("name", "program", "arguments"), [("out.jsonl.gz", "gzip", "-dc"), ("out.jsonl.zst", "zstd", "-dcq")]
)
def test_the_usual_programs_read_it(tmp_path: Path, name: str, program: str, arguments: str) -> None:
    command = [require_program(program, how=f"apt install {program}"), arguments]
    shards = shards_of(tmp_path, [outcome(index, body="é" * 1000 * index) for index in range(9)])
    spec = OutputSpec.parse(f"{tmp_path}/{name}")
    assemble(spec, shards, tmp_path)
    said = subprocess.run([*command, str(spec.path)], capture_output=True, check=True).stdout
    assert said == b"".join(shard.read_bytes() for shard in shards)
    damaged = bytearray(spec.path.read_bytes())
    damaged[-6] ^= 1  # in the checksum of either
    spec.path.write_bytes(damaged)
    assert subprocess.run([*command, str(spec.path)], capture_output=True).returncode != 0


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
    for step in deaths(lambda: assemble(spec, iter(shards), work, replace=replace)):
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
    assert lasting > 3 < fleeting, "deaths came before it was published and after"


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
    for _ in deaths(lambda: assemble(spec, shards, tmp_path / "work")):
        assemble(spec, shards, tmp_path / "work")
        assert read(spec.path) == b"".join(shard.read_bytes() for shard in shards)
        remove(spec.path)


def with_little_room(action: Callable[[], None], limit_bytes: int) -> int:
    """As a full disk: no file of this process may grow beyond that."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        action()

    return in_a_fork(limited)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "out/"])
def test_a_full_disk_is_one_error_and_leaves_the_shards_alone(tmp_path: Path, name: str) -> None:
    noise = [outcome(index, body=os.urandom(3000).hex()) for index in range(200)]
    shards = shards_of(tmp_path / "work", noise, size=100)
    for shard in shards:
        warc_path(shard).write_bytes(os.urandom(300_000))
    spec = OutputSpec.parse(f"{tmp_path}/{name}")

    def refused() -> None:
        with pytest.raises(OutputError, match=f"can't write .*{name}: File too large"):
            assemble(spec, shards, tmp_path / "work")

    assert with_little_room(refused, 100_000) == 0
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
