"""Receipt: what a finished output was made of, kept beside it as `OUTPUT.percore.json`.

The law: a receipt vouches for its output only while that has the size and the modification time that it had then. So
the same command knows that there is nothing to do, and another knows that it would write over somebody's records.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from app.errors import UsageError
from app.sinks.durable import write_whole
from workers.manifest import Manifest, difference
from workers.summary import Summary


class OutputMark(msgspec.Struct, frozen=True):
    """By what an output is known again: a file's own size and modification time, a folder's sum and latest."""

    bytes: int
    mtime_ns: int


class Receipt(msgspec.Struct, frozen=True):
    """The content of the file: the outputs' marks in the order of the command.

    manifest  a Manifest, of this version of Percore or another
    failed    where no output has records: see workers.failed_indexes
    """

    outputs: list[OutputMark]
    summary: Summary
    manifest: msgspec.Raw
    failed: dict[str, bytes] | None = None


def receipt_path(output: Path) -> Path:
    """Where the receipt of `output` lies."""
    return output.with_name(output.name + ".percore.json")


def mark_of(output: Path) -> OutputMark:
    """The mark of an output as it is now. Raises OSError."""
    files = list(output.iterdir()) if output.is_dir() else [output]
    found = [file.stat() for file in files]
    return OutputMark(sum(s.st_size for s in found), max((s.st_mtime_ns for s in found), default=0))


def write_receipt(
    path: Path,
    outputs: Sequence[Path],
    manifest: Manifest,
    summary: Summary,
    failed: dict[str, bytes] | None = None,
) -> None:
    """Write the receipt of finished outputs. Raises OSError."""
    marks = [mark_of(output) for output in outputs]
    receipt = Receipt(marks, summary, msgspec.Raw(msgspec.json.encode(manifest)), failed)
    write_whole(path, [msgspec.json.format(msgspec.json.encode(receipt), indent=2), b"\n"])


def read_receipt(path: Path) -> Receipt | None:
    """The receipt at `path`; None when there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Receipt)
    except (OSError, msgspec.DecodeError):
        return None


def vouches(receipt: Receipt, outputs: Sequence[Path]) -> bool:
    """Whether the outputs are still what the receipt was written for."""
    try:
        return [mark_of(output) for output in outputs] == receipt.outputs
    except OSError:
        return False


def finished_by(outputs: Sequence[Path], manifest: Manifest) -> Receipt:
    """The receipt of outputs, some of which exist, that this very job has written.

    Raises UsageError, saying what to do, when they are anything else: none is ever overwritten unasked.
    """
    receipt = read_receipt(receipt_path(outputs[0]))
    if receipt is None or not outputs[0].exists():
        found = next(output for output in outputs if output.exists())
        raise UsageError(f"{found} exists already and is never overwritten; --fresh replaces it")
    if why := difference(receipt.manifest, manifest):
        raise UsageError(f"{outputs[0]} exists already, from another job ({why}); --fresh replaces it")
    if not vouches(receipt, outputs):
        names = " or ".join(map(str, outputs))
        raise UsageError(f"{names} was changed after it was written, and is never overwritten; --fresh replaces it")
    return receipt
