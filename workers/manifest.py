"""Manifest: what of a command decides the records of a job, and so whether a run may go on with another's work."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from app.files.sources import edited, in_words, now
from app.model.job import FetchOptions

UNREPEATABLE = -1
"""The size of an input that can't be read again, and so can't be told from another."""


class InputMark(msgspec.Struct, frozen=True):
    """By what an input file is known again. `bytes` is UNREPEATABLE for standard input."""

    name: str
    bytes: int
    mtime_ns: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One job's.

    outputs        the first one's kind, and the whole names of the others (workers.output_order: which is the first)
    bodies         the folder of --store-bodies
    limit          input lines that are read, None for all
    sample, seed   which of them are fetched: see workers.selection; "" for all
    sources        by what the code of the stages is known again: of those given as module:function at the beginning,
                   and in a receipt of what they and others were imported from, too (app.files.sources); None when it
                   may be another
    """

    inputs: list[InputMark]
    formats: list[str]
    url_column: str
    dedupe: bool
    outputs: list[str]
    bodies: str | None
    limit: int | None
    sample: str
    seed: int
    shard_size: int
    stages: list[str]
    sources: dict[str, str] | None
    options: FetchOptions
    max_body_bytes: int
    max_redirects: int
    deny_private: bool
    version: int = 2

    @property
    def is_repeatable(self) -> bool:
        """Whether a later run can be held against this one."""
        return all(mark.bytes != UNREPEATABLE for mark in self.inputs)


def difference(found: bytes | msgspec.Raw, ours: Manifest, imported: Mapping[str, str] | None = None) -> str:
    """Why the job whose manifest is `found`, as JSON, is not the job `ours`, in words; "" when it is. Files that its
    stages were imported from are looked at.

    imported  these and what else is known of the stages' sources, besides what the manifest says
    """
    if not ours.is_repeatable:
        return "standard input can't be read again"
    try:
        theirs = msgspec.json.decode(found)
    except msgspec.DecodeError:
        return "its manifest can't be read"
    if not isinstance(theirs, dict):
        return "its manifest can't be read"
    mine = msgspec.to_builtins(ours)
    if theirs.get("version") != mine["version"]:
        return "of another version of Percore"
    # Earlier versions of Percore have not kept it, or less of it.
    before = {**(theirs.pop("sources", None) or {}), **(imported or {})}
    after = mine.pop("sources")
    other = None if after is None else edited(before, after | now(before))
    differing = [name for name in mine if theirs.get(name) != mine[name]]
    if other and "stages" not in differing:
        differing.append(f"version of {in_words(other)}, which was edited since")
    if "options" in differing:
        options = theirs.get("options", {})
        differing.remove("options")
        differing += [name for name, value in mine["options"].items() if options.get(name) != value]
    return f"of another {', '.join(_WORDS.get(name, name) for name in differing)}" if differing else ""


_WORDS = {"inputs": "input, or of this one before it was changed", "outputs": "set of outputs"}
