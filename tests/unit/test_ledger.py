from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import OutputError
from app.model.outcome import ErrorKind, Failure, Outcome
from app.sinks.record import encode_record
from workers.layout import LEDGER, shard_path
from workers.ledger import Ledger

TIMEOUT = Failure(ErrorKind.TIMEOUT, "why")
RECORDS = [Outcome(index=0, url="u", ok=True), Outcome(index=1, url="u", ok=False, error=TIMEOUT)]


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    (tmp_path / "shards").mkdir()
    path = shard_path(tmp_path, 7)
    path.write_bytes(b"".join(encode_record(record) + b"\n" for record in RECORDS))
    return path


def test_a_noted_shard_is_not_read(shard: Path, tmp_path: Path) -> None:
    Ledger(tmp_path).note(7, {"ok": 5})  # not what is in it
    assert Ledger(tmp_path).finished(7) == {"ok": 5}
    assert Ledger(tmp_path).finished(8) is None


def test_without_a_note_it_is_read_once(shard: Path, tmp_path: Path) -> None:
    assert Ledger(tmp_path).finished(7) == {"ok": 1, "timeout": 1}
    shard.write_bytes(b"x" * shard.stat().st_size)
    assert Ledger(tmp_path).finished(7) == {"ok": 1, "timeout": 1}, "by its note"


@pytest.mark.parametrize("spoil", [lambda whole: whole[:-4], lambda whole: b"", lambda whole: b"\0" * 10])
def test_a_spoiled_shard_is_not_finished(shard: Path, tmp_path: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    Ledger(tmp_path).note(7, {"ok": 2})
    shard.write_bytes(spoil(shard.read_bytes()))
    assert Ledger(tmp_path).finished(7) is None
    shard.unlink()
    assert Ledger(tmp_path).finished(7) is None


@pytest.mark.parametrize("torn", [b'{"number":7,"by', b"\0\0\0\n", b'"x"\n'])
def test_a_torn_ledger_costs_only_its_own_lines(shard: Path, tmp_path: Path, torn: bytes) -> None:
    Ledger(tmp_path).note(7, {"ok": 5})
    with (tmp_path / LEDGER).open("ab") as file:
        file.write(torn)
    assert Ledger(tmp_path).finished(7) == {"ok": 5}


def test_the_last_note_counts(shard: Path, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.note(7, {"ok": 5})
    shard.write_bytes(shard.read_bytes() * 2)
    ledger.note(7, {"ok": 10})
    assert Ledger(tmp_path).finished(7) == {"ok": 10}


def test_a_ledger_that_can_not_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="can't open"):
        Ledger(tmp_path / "none")
