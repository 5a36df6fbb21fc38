"""Work folder: where a batch keeps its shards until the output is whole. What lies in it: `workers.layout`.

Each output appears at once and whole, at the end, their receipt beside the first one, and the folder goes away. The
order of each step below is such that a kill between any two leaves something that the same command ends well:

    begin    everything else, then manifest.json: a folder without it is empty work, and is cleared
    publish  each output (app.sinks.outputs), receipt.json; now the job is finished, and `settle` does the rest
    settle   manifest.json goes (so nobody goes on in here), the receipt gets its name, the folder goes
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from app.errors import OutputError, UsageError
from app.files.reasons import reason_of
from app.sinks.durable import sync_names, write_whole
from app.sinks.jsonl import OK, stored_records
from app.sinks.outputs import OutputSpec, assemble, has_records, is_assembled
from workers.failed_indexes import FailedIndexes
from workers.layout import IMPORTED, INTENT, LOCK, MANIFEST, PARTS, RECEIPT, SHARD_NAME, SHARDS, work_path
from workers.manifest import Manifest, difference
from workers.output_lock import OutputLock
from workers.phase import Phase
from workers.receipt import Receipt, finished_by, read_receipt, receipt_path, vouches, write_receipt
from workers.retry_failed import drop_failed
from workers.summary import Summary
from workers.unpack import unpack

# What no other command helps against: no room (EFBIG: for a file of this process), a disk that fails, no descriptor.
_OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE})


class Intent(msgspec.Struct, frozen=True):
    """What a run may do at its end, kept for those that go on with it.

    replaces  put the outputs in the place of those that exist
    retry     the error kinds whose records were dropped to be fetched again, in order; None when none were
    """

    replaces: bool = False
    retry: list[str] | None = None


class WorkFolder:
    """The folder of one run. Call `begin` first; then it, and all outputs, are locked until `release`, or until this
    process ends.

    specs  the outputs; the folder, and the receipt, lie beside the first one
    phase  told how far `begin` and `publish` are, which raise Interrupted once it is stopped
    """

    def __init__(self, specs: Sequence[OutputSpec], phase: Phase | None = None) -> None:
        self._phase = phase or Phase()
        self._specs = tuple(specs)
        self._outputs = [spec.path for spec in specs]
        self.output = self._outputs[0]
        self.path = work_path(self.output)
        # In one order whoever asks, so that of two jobs one gets them all.
        self._locks = [OutputLock(output, self.output) for output in sorted(self._outputs, key=os.path.realpath)]
        self._intent = Intent()
        self._is_new = False
        self._given: dict[str, str] = {}  # sources that the manifest has
        self._imported: dict[str, str] = {}  # and what was learned

    @property
    def sources(self) -> dict[str, str]:
        """By what the code of the job's stages is known again, as far as that is known by now."""
        return self._given | self._imported

    def learn(self, sources: Mapping[str, str]) -> None:
        """The stages of this run were imported from these (app.files.sources), and so are to be those of who goes on
        with it.
        """
        self._imported |= sources
        # Who is called here waits for no disk. What a power failure, or a full disk, takes of it protects nobody.
        with suppress(OSError):
            temporary = self.path / f"{IMPORTED}.tmp"
            temporary.write_bytes(msgspec.json.encode(self._imported))
            os.replace(temporary, self.path / IMPORTED)

    @property
    def has_unfinished_run(self) -> bool:
        """Whether there is one that `begin` with `fresh` throws away: this job's, or another's with a common output."""
        return any((lock.folder / MANIFEST).exists() for lock in self._locks)

    def begin(self, manifest: Manifest, *, fresh: bool = False, retry: frozenset[str] | None = None) -> Receipt | None:
        """Make the folder ready for a run; None then. The receipt instead when there is nothing to do.

        fresh  throw away an earlier run's work, and replace outputs that exist
        retry  error kinds whose records are dropped, from an unfinished run or a finished output, to be fetched again
        Raises UsageError when an output is somebody else's or can't be written, the folder belongs to another job or is
        in use, or there is nothing to retry; OutputError when the disk is full or broken, or descriptors are lacking.
        """
        try:
            receipt = self._ready(manifest, fresh, retry)
        except BaseException as error:
            self.release()
            if isinstance(error, OSError):
                # What a write says has no name in it; it was something in the folder.
                place = error.filename or self.path
                kind = OutputError if error.errno in _OF_THE_MACHINE else UsageError
                why = reason_of(error, or_else="lower --workers")
                raise kind(f"can't write {self._specs[0]}: {why}: {place}") from error
            raise
        if receipt is not None:
            self.release()
        return receipt

    def has_records(self) -> bool:
        """Whether anything is recorded here. Raises OSError."""
        return any(path.stat().st_size for folder in (PARTS, SHARDS) for path in (self.path / folder).glob("*.jsonl"))

    def discard_if_new(self) -> None:
        """Have `release` leave nothing behind, when the job can't be done as it was asked for. Not for a run that has
        fetched something.
        """
        if self._is_new:
            (self.path / MANIFEST).unlink(missing_ok=True)

    def publish(self, shards: Callable[[], Iterable[Path]], manifest: Manifest, summary: Summary) -> None:
        """Turn the finished shards, in the order given, into the outputs, and remove the folder. Raises OutputError.

        An output that has appeared in the meantime is somebody else's, and is not replaced.
        """
        total = sum(1 for _ in shards())
        for spec in self._specs:
            self._phase.begin("assembling", spec, total)
            assemble(spec, self._phase.counted(shards()), self.path, replace=self._intent.replaces)
        try:
            failed = None
            if not any(map(has_records, self._specs)):
                self._phase.begin("assembling", receipt_path(self.output), total)
                failed = _failed_of(self._phase.counted(shards()))
            made = msgspec.structs.replace(manifest, sources=(manifest.sources or {}) | self._imported)
            write_receipt(self.path / RECEIPT, self._outputs, made, summary, failed)
            self.settle()
            self.release()
        except OSError as error:
            raise OutputError(f"can't write {self.output}: {reason_of(error)}") from error

    def settle(self) -> None:
        """Do what is left to do once the outputs have their names, if they do: also for a run that was killed then."""
        receipt = read_receipt(self.path / RECEIPT)
        if receipt is None or not vouches(receipt, self._outputs):
            return
        (self.path / MANIFEST).unlink(missing_ok=True)
        os.replace(self.path / RECEIPT, receipt_path(self.output))
        sync_names(self.output.parent)
        _clear(self.path)

    def release(self) -> None:
        """Let go of the outputs, and of the folder if there is nothing in it to go on with. May be called again."""
        for lock in self._locks:
            if lock.is_taken and lock.folder == self.path and not self._is_of_use():
                with suppress(OSError):
                    _clear(self.path)
            lock.release()

    def _is_of_use(self) -> bool:
        """Whether the folder holds a run to go on with, or one whose end is left to be settled."""
        return (self.path / MANIFEST).exists() or (self.path / RECEIPT).exists()

    # Beginning

    def _ready(self, manifest: Manifest, fresh: bool, retry: frozenset[str] | None) -> Receipt | None:
        for spec in self._specs:
            _check_form(spec)
        # Who has mended a stage may run it again on what has failed, and on nothing else.
        asked = manifest if retry is None else msgspec.structs.replace(manifest, sources=None)
        # Looked at before anything is made: so it works where nothing may be written, too.
        if not self.path.exists() and self._are_there(fresh):
            receipt = finished_by(self._outputs, asked)
            if retry is None or _has_none(receipt, retry):
                self._sweep()
                return receipt
        self._is_new = not self.path.exists()
        self._lock(fresh)
        self.settle()
        return self._begin(manifest, asked, fresh, retry)

    def _begin(self, manifest: Manifest, asked: Manifest, fresh: bool, retry: frozenset[str] | None) -> Receipt | None:
        found = self._manifest()
        self._given = manifest.sources or {}
        if found is None and retry is not None and not self._are_there(fresh):
            raise UsageError(
                f"--retry-failed: there is no earlier run of {self._specs[0]} to go on with, neither finished nor "
                f"unfinished; mind the name, or leave the option out"
            )
        if fresh or found is None:
            _clear(self.path)
            self._make_folders()
            if self._are_there(fresh):
                receipt = finished_by(self._outputs, asked)
                if retry is None or _has_none(receipt, retry):
                    return receipt
                self._is_new = True
                unpack(self._specs, receipt, self.path, manifest.shard_size, self._phase)
                drop_failed(self.path, retry, self._phase)
            replaces = any(output.exists() for output in self._outputs)
            self._intend(Intent(replaces, None if retry is None else sorted(retry)))
            self._declare(manifest)
            return None
        imported = self._found_imported()
        if why := difference(found, asked, imported):
            raise UsageError(f"{self.path}/ holds an unfinished run ({why}); --fresh starts over")
        self._make_folders()
        self._intent = self._found_intent()
        for spec in self._specs:
            if spec.path.exists() and not self._intent.replaces and not is_assembled(spec, self.path):
                raise UsageError(f"{spec} has appeared since {self.path}/ was begun; --fresh replaces it")
        # A retry that was stopped goes on: what it has fetched by now is not fetched once more.
        if retry is not None and self._intent.retry != sorted(retry):
            drop_failed(self.path, retry, self._phase)
            self._intend(Intent(self._intent.replaces, sorted(retry)))
        if retry is not None and difference(found, manifest, imported):
            (self.path / IMPORTED).unlink(missing_ok=True)
            self._declare(manifest)
        else:
            self._imported = imported
        return None

    def _declare(self, manifest: Manifest) -> None:
        write_whole(self.path / MANIFEST, [msgspec.json.encode(manifest)])

    def _are_there(self, fresh: bool) -> bool:
        return not fresh and any(output.exists() for output in self._outputs)

    def _intend(self, intent: Intent) -> None:
        self._intent = intent
        write_whole(self.path / INTENT, [msgspec.json.encode(intent)])

    def _found_intent(self) -> Intent:
        try:
            return msgspec.json.decode((self.path / INTENT).read_bytes(), type=Intent)
        except (FileNotFoundError, msgspec.DecodeError):
            return Intent()

    def _found_imported(self) -> dict[str, str]:
        try:
            return msgspec.json.decode((self.path / IMPORTED).read_bytes(), type=dict[str, str])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    def _manifest(self) -> bytes | None:
        try:
            return (self.path / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None

    def _make_folders(self) -> None:
        for folder in (PARTS, SHARDS):
            (self.path / folder).mkdir(exist_ok=True)

    def _lock(self, fresh: bool) -> None:
        """Make the folder ours, and all outputs, until `release` or the end of this process."""
        for lock in self._locks:
            lock.take()
            if lock.folder == self.path or not (lock.folder / MANIFEST).exists():
                continue
            # Its process is gone, but it may be gone on with; what it has fetched could no longer become this output.
            if not fresh:
                raise UsageError(f"{lock.folder}/ holds an unfinished run of another job; --fresh throws it away")
            _clear(lock.folder)

    def _sweep(self) -> None:
        """Take away what a killed run that had finished has left: folders of nothing but locks."""
        for lock in self._locks:
            if lock.folder.exists() and not (lock.folder / MANIFEST).exists():
                with suppress(UsageError, OSError):
                    lock.take()
                    lock.release()


def _clear(folder: Path) -> None:
    """Remove all but the lock; the manifest first, so that a kill leaves no half of a job that looks whole."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()


def _check_form(spec: OutputSpec) -> None:
    """Raises UsageError for what stands in an output's place and can't be one."""
    if not spec.path.exists():
        return
    is_folder = spec.kind == "folder"
    if spec.path.is_dir() != is_folder:
        what = "a folder" if spec.path.is_dir() else "a file"
        raise UsageError(f"{spec} is {what}; a name with a / at its end means a folder of shards")
    # What we did not write ourselves is not ours to throw away.
    if is_folder and not all(SHARD_NAME.fullmatch(path.name) for path in spec.path.iterdir()):
        raise UsageError(f"{spec} holds other things than shards, and is left alone")


def _failed_of(shards: Iterable[Path]) -> dict[str, bytes]:
    """For the receipt: which requests failed, and how."""
    failed = FailedIndexes()
    for shard in shards:
        with open(shard, "rb") as file:
            for record in stored_records(file):
                if record.kind != OK:
                    failed.add(record.index, record.kind)
    return failed.packed()


def _has_none(receipt: Receipt, kinds: frozenset[str]) -> bool:
    """Whether no record failed in one of these ways."""
    return not kinds & receipt.summary.kinds.keys()
