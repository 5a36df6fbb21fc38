"""Output order: outputs are a set, whatever order the command names them in.

The law: a job's work folder and its receipt lie beside one of its outputs, which is its first one, and tell the others
in an order. Who names the same set again is given them in that order; where there is nothing yet, the command's counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import msgspec

from app.sinks.outputs import OutputSpec
from workers.layout import MANIFEST, work_path
from workers.receipt import read_receipt, receipt_path


class _Outputs(msgspec.Struct, frozen=True):
    """Of a manifest, see there, of this version of Percore or another."""

    outputs: list[str]


def in_order(specs: Sequence[OutputSpec]) -> list[OutputSpec]:
    """The outputs in the order of the job that has them, unfinished or finished; else as they are."""
    for first, found in _manifests(specs):
        others = {spec.whole_name: spec for spec in specs if spec is not first}
        if found and found[0] == first.kind and sorted(found[1:]) == sorted(others):
            return [first, *(others[name] for name in found[1:])]
    return list(specs)


def _manifests(specs: Sequence[OutputSpec]) -> Iterator[tuple[OutputSpec, list[str]]]:
    """The outputs that each manifest beside one of these tells; of unfinished jobs first: they are gone on with."""
    for spec in specs:
        with suppress(OSError, msgspec.DecodeError):
            text = (work_path(spec.path) / MANIFEST).read_bytes()
            yield spec, msgspec.json.decode(text, type=_Outputs).outputs
    for spec in specs:
        receipt = read_receipt(receipt_path(spec.path))
        if receipt is not None:
            with suppress(msgspec.DecodeError):
                yield spec, msgspec.json.decode(receipt.manifest, type=_Outputs).outputs
