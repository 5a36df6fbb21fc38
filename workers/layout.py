"""Layout: what lies where in a batch's work folder, `OUTPUT.percore/`.

    manifest.json          what is being done
    imported.json          what the stages were imported from (app.files.sources), as far as the manifest does not say
    intent.json            whether the output that exists is to be replaced, and whether failures are being retried
    lock                   held by the parent that works here (workers.output_lock)
    parts/000000.jsonl     records of a shard under way, in the order of completion
    shards/000000.jsonl    a finished shard, in input order
    ledger                 counts of the finished shards
    published-*.json       the outputs that have their names, while others are made (app.sinks.publishing)
    receipt.json           the outputs' receipt, for the moment before it gets its name

The manifest is written last of what a run begins with: a folder without one was never begun.
"""

from __future__ import annotations

import re
from pathlib import Path

from app.sinks.outputs import WORK_SUFFIX

MANIFEST = "manifest.json"
IMPORTED = "imported.json"
INTENT = "intent.json"
LOCK = "lock"
LEDGER = "ledger"
PARTS = "parts"
SHARDS = "shards"
RECEIPT = "receipt.json"

SHARD_NAME = re.compile(r"\d{6,}\.jsonl")


def work_path(output: Path) -> Path:
    """The work folder of a job whose first output that is; of its other outputs, where their lock lies."""
    return output.with_name(output.name + WORK_SUFFIX)


def output_of(folder: Path) -> str:
    """The name of the first output of the job whose work folder that is."""
    return str(folder).removesuffix(WORK_SUFFIX)


def part_path(folder: Path, number: int) -> Path:
    """Where shard `number` lies while it is under way."""
    return folder / PARTS / f"{number:06d}.jsonl"


def shard_path(folder: Path, number: int) -> Path:
    """Where shard `number` lies once it is finished."""
    return folder / SHARDS / f"{number:06d}.jsonl"
