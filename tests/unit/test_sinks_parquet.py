"""Records as a table: what comes back out of it, and what is none."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from app.errors import BrokenInput, UsageError
from app.model.outcome import Outcome
from app.sinks import parquet
from app.sinks.outputs import OutputSpec, assemble
from app.sinks.record import encode_record
from tests.support.needs import require_program
from tests.support.outcomes import LISTS
from tests.support.shards import outcome, shards_of

pytestmark = pytest.mark.usefixtures("parquet_in_this_process")


@pytest.mark.parametrize(
    ("built_by_us", "advice"),
    [(True, r"add the line pyarrow>=\d+ to requirements-local.txt"), (False, r"/bin/python -m pip install 'pyarrow>=")],
)
def test_parquet_without_pyarrow_is_refused_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, built_by_us: bool, advice: str
) -> None:
    monkeypatch.setattr("app.sinks.outputs.find_spec", lambda name: None)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))
    if built_by_us:
        (tmp_path / "percore-environment").touch()
    with pytest.raises(UsageError, match=advice):
        OutputSpec.parse("a.parquet")
    OutputSpec.parse("a.jsonl")


@settings(max_examples=30, deadline=None)
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
