"""The work folder's beginning and end, with a kill at every moment of both."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from app.errors import OutputError, PercoreError, UsageError
from app.model.job import FetchOptions
from app.model.outcome import ErrorKind, Failure, Outcome
from app.sinks.jsonl import JsonlPart
from app.sinks.outputs import OutputSpec
from app.sinks.record import encode_record
from tests.support.kill_points import kill_points
from workers.layout import part_path, shard_path
from workers.manifest import UNREPEATABLE, InputMark, Manifest
from workers.retry_failed import ALL_KINDS
from workers.summary import Summary
from workers.work_folder import WorkFolder

SHARD_SIZE = 3
FAILED = {1: ErrorKind.TIMEOUT, 5: ErrorKind.HTTP_STATUS}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that was written; only a power failure would."""
    monkeypatch.setattr("os.fsync", lambda _: None)


def manifest(**changes: object) -> Manifest:
    values = {
        "inputs": [InputMark("/in", 10, 1)],
        "formats": ["txt"],
        "url_column": "url",
        "dedupe": False,
        "outputs": ["jsonl"],
        "bodies": None,
        "limit": None,
        "sample": "",
        "seed": 0,
        "shard_size": SHARD_SIZE,
        "stages": [],
        "sources": {},
        "options": FetchOptions(),
        "max_body_bytes": 1,
        "max_redirects": 1,
        "deny_private": False,
    }
    return Manifest(**(values | changes))


def work_folder(name: str) -> WorkFolder:
    return WorkFolder([OutputSpec.parse(name)])


def summary(**kinds: int) -> Summary:
    return Summary(
        state="finished",
        records=9,
        ok=9 - sum(kinds.values()),
        failed=sum(kinds.values()),
        kinds=kinds,
        resumed=0,
        fetched=9,
        elapsed_s=1.0,
        rate=9.0,
        started_at="2026-01-01T00:00:00+00:00",
        outputs=["out"],
        workers=1,
    )


def outcome(index: int, kind: ErrorKind | None) -> Outcome:
    return Outcome(index=index, url="u", ok=kind is None, error=Failure(kind, "why") if kind else None)


def line(index: int, *, failed: bool) -> bytes:
    return encode_record(outcome(index, FAILED.get(index) if failed else None)) + b"\n"


def content(*, failed: bool = True) -> bytes:
    return b"".join(line(index, failed=failed) for index in range(9))


def fetch(folder: WorkFolder, *, failed: bool) -> set[int]:
    """As a run would: record what has no record, and finish all shards. Which indexes those were."""
    fetched = set()
    for number in range(3):
        if shard_path(folder.path, number).exists():
            continue
        part = JsonlPart(part_path(folder.path, number))
        for index in range(number * SHARD_SIZE, (number + 1) * SHARD_SIZE):
            if index not in part.done:
                part.append([outcome(index, FAILED.get(index) if failed else None)])
                fetched.add(index)
        part.finish(shard_path(folder.path, number))
    return fetched


def publish(folder: WorkFolder, **kinds: int) -> None:
    folder.publish(lambda: [shard_path(folder.path, number) for number in range(3)], manifest(), summary(**kinds))


def run(name: str, *, failed: bool = True, retry: frozenset[str] | None = None, fresh: bool = False) -> set[int] | None:
    """A whole run of the same command; what it fetched, None when there was nothing to do."""
    folder = work_folder(name)
    if folder.begin(manifest(), fresh=fresh, retry=retry) is not None:
        return None
    fetched = fetch(folder, failed=failed)
    publish(folder, **({"timeout": 1, "http_status": 1} if failed else {}))
    return fetched


def output_of(name: str) -> bytes:
    path = Path(name)
    if not name.endswith("/"):
        return path.read_bytes()
    return b"".join(file.read_bytes() for file in sorted(path.iterdir()))


def left(name: str) -> list[str]:
    return sorted(path.name for path in Path(name).parent.iterdir())


BOTH = pytest.mark.parametrize("form", ["out.jsonl", "out/"])


@BOTH
def test_a_finished_output_has_its_receipt_and_nothing_else(form: str, tmp_path: Path) -> None:
    name = f"{tmp_path}/{form}"
    assert run(name) == set(range(9))
    assert output_of(name) == content()
    plain = form.rstrip("/")
    assert left(name) == [plain, f"{plain}.percore.json"]
    assert run(name) is None
    assert left(name) == [plain, f"{plain}.percore.json"]


@BOTH
def test_a_kill_at_any_moment_of_a_run(form: str, tmp_path: Path) -> None:
    place, name, plain = tmp_path / "place", f"{tmp_path}/place/{form}", form.rstrip("/")

    def prepare() -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()

    for changes in kill_points(prepare, lambda: run(name)):
        done = recorded(place)
        again = run(name)
        assert again is None or not again & done, f"after {changes} changes"
        assert output_of(name) == content(), f"after {changes} changes"
        assert left(name) == [plain, f"{plain}.percore.json"], f"after {changes} changes"
        assert run(name) is None, "it is finished, and known to be"


def recorded(place: Path) -> set[int]:
    lines = {found for path in place.rglob("*.jsonl") for found in path.read_bytes().splitlines()}
    return {index for index in range(9) if line(index, failed=True).strip() in lines}


@BOTH
@pytest.mark.parametrize("how", ["fresh", "retry"])
def test_a_kill_at_any_moment_of_a_run_that_replaces(form: str, how: str, tmp_path: Path) -> None:
    """The old output stays until the new one is there, and what is typed again ends it."""
    place, name, plain = tmp_path / "place", f"{tmp_path}/place/{form}", form.rstrip("/")
    place.mkdir()
    run(name)
    kept = shutil.copytree(place, tmp_path / "kept")  # with its times, which the receipt vouches for

    def prepare() -> None:
        shutil.rmtree(place)
        shutil.copytree(kept, place)

    def replace() -> set[int] | None:
        if how == "fresh":
            return run(name, failed=False, fresh=True)
        return run(name, failed=False, retry=ALL_KINDS)

    for changes in kill_points(prepare, replace):
        assert output_of(name) in (content(), content(failed=False)), f"after {changes} changes"
        again = replace()
        assert how == "fresh" or again is None or again <= {1, 5}, f"after {changes} changes"
        assert output_of(name) == content(failed=False), f"after {changes} changes"
        assert left(name) == [plain, f"{plain}.percore.json"], f"after {changes} changes"
        assert run(name) is None, "it is finished, and known to be"


def test_a_retry_that_is_typed_again_fetches_nothing_twice(tmp_path: Path) -> None:
    name = f"{tmp_path}/out.jsonl"
    run(name)
    folder = work_folder(name)
    assert folder.begin(manifest(), retry=ALL_KINDS) is None
    assert fetch(folder, failed=True) == {1, 5}
    del folder  # killed before it published, having failed again
    folder = work_folder(name)
    assert folder.begin(manifest(), retry=ALL_KINDS) is None
    assert fetch(folder, failed=True) == set()


def test_an_unfinished_retry_goes_on_without_the_option_too(tmp_path: Path) -> None:
    name = f"{tmp_path}/out.jsonl"
    run(name)
    assert work_folder(name).begin(manifest(), retry=frozenset({"timeout"})) is None
    assert Path(name).read_bytes() == content()
    assert run(name, failed=False) == {1}
    assert output_of(name) == content(failed=False).replace(line(5, failed=False), line(5, failed=True))


def test_only_these_kinds_are_retried_in_an_unfinished_run(tmp_path: Path) -> None:
    name = f"{tmp_path}/out.jsonl"
    folder = work_folder(name)
    folder.begin(manifest())
    fetch(folder, failed=True)
    del folder
    folder = work_folder(name)
    assert folder.begin(manifest(), retry=frozenset({"http_status"})) is None
    assert fetch(folder, failed=False) == {5}


def test_other_failures_of_the_same_shard_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAILED, 0, ErrorKind.CONNECTION_LOST)  # beside the timeout of 1
    name = f"{tmp_path}/out.jsonl"
    run(name)
    assert run(name, failed=False, retry=frozenset({"timeout"})) == {1}
    assert output_of(name).splitlines(keepends=True)[:2] == [line(0, failed=True), line(1, failed=False)]


@BOTH
def test_nothing_to_retry_is_nothing_to_do(form: str, tmp_path: Path) -> None:
    name = f"{tmp_path}/{form}"
    run(name, failed=False)
    assert run(name, retry=ALL_KINDS) is None


def refusal(name: str, ours: Manifest | None = None, *, retry: frozenset[str] | None = None) -> str:
    with pytest.raises(UsageError) as refused:
        work_folder(name).begin(ours or manifest(), retry=retry)
    return str(refused.value)


def test_another_job_is_refused_and_told_why(tmp_path: Path) -> None:
    name = f"{tmp_path}/out.jsonl"
    run(name)
    said = refusal(name, manifest(stages=["title"], options=FetchOptions(retries=9)))
    assert "another stages, retries); --fresh replaces it" in said
    assert "another input, or of this one before it was changed" in refusal(
        name, manifest(inputs=[InputMark("/in", 10, 2)])
    )
    assert "standard input can't be read again" in refusal(
        name, manifest(inputs=[InputMark("-", UNREPEATABLE, UNREPEATABLE)])
    )


def test_an_edited_stage_is_another_job_but_for_what_has_failed(tmp_path: Path) -> None:
    """Of a finished job, and of an unfinished one; and the retry is gone on with as what it is."""
    before, after = (manifest(stages=["st:f"], sources={"st:f": digest}) for digest in ("1", "2"))
    for name in (f"{tmp_path}/finished.jsonl", f"{tmp_path}/unfinished.jsonl"):
        folder = work_folder(name)
        folder.begin(before)
        fetch(folder, failed=True)
        if "unfinished" not in name:
            folder.publish(
                lambda folder=folder: [shard_path(folder.path, number) for number in range(3)],  # type: ignore[misc]
                before,
                summary(timeout=1, http_status=1),
            )
        folder.release()
        assert "(of another version of stage 'st:f', which was edited since); --fresh" in refusal(name, after)
        folder = work_folder(name)
        assert folder.begin(after, retry=frozenset({"timeout"})) is None
        assert fetch(folder, failed=True) == {1}
        folder.release()
        assert "which was edited since" in refusal(name, before)
        assert work_folder(name).begin(after) is None


def test_a_job_of_an_earlier_version_that_knew_no_sources_goes_on(tmp_path: Path) -> None:
    name = f"{tmp_path}/out.jsonl"
    ours = manifest(stages=["st:f"], sources={"st:f": "1"})
    work_folder(name).begin(ours)
    found = tmp_path / "out.jsonl.percore" / "manifest.json"
    found.write_bytes(found.read_bytes().replace(b'"sources":{"st:f":"1"},', b""))
    assert b"sources" not in found.read_bytes()
    assert work_folder(name).begin(ours) is None


def test_an_edited_module_that_a_stage_imports_is_another_job_too(tmp_path: Path) -> None:
    """Which those are is learned while the run is under way; it is known to who goes on, and in the receipt."""
    helper = tmp_path / "helper.py"
    helper.write_text("a = 1")
    known = {str(helper): hashlib.sha256(b"a = 1").hexdigest()}
    ours = manifest(stages=["st:f"], sources={"st:f": "1"})
    why = f"(of another version of {helper} (imported by a stage), which was edited since); --fresh"
    for name in (f"{tmp_path}/finished.jsonl", f"{tmp_path}/unfinished.jsonl"):
        helper.write_text("a = 1")
        folder = work_folder(name)
        folder.begin(ours)
        folder.learn(known)
        folder.release()
        folder = work_folder(name)
        folder.begin(ours)
        assert folder.sources == {"st:f": "1"} | known, "who goes on is held to it"
        fetch(folder, failed=True)
        if "unfinished" not in name:
            folder.publish(
                lambda folder=folder: [shard_path(folder.path, number) for number in range(3)],  # type: ignore[misc]
                ours,
                summary(timeout=1, http_status=1),
            )
        folder.release()
        helper.write_text("a = 2")
        assert why in refusal(name, ours)
        folder = work_folder(name)
        assert folder.begin(ours, retry=frozenset({"timeout"})) is None
        assert folder.sources == {"st:f": "1"}, "children tell anew"
        folder.release()
        assert work_folder(name).begin(ours) is None
    helper.unlink()


def test_what_was_learned_can_be_lost_without_harm(tmp_path: Path) -> None:
    """As a power failure may leave it."""
    name = f"{tmp_path}/out.jsonl"
    ours = manifest(stages=["st:f"], sources={"st:f": "1"})
    for left_over in (b"", b'{"/a"', b"[]"):
        folder = work_folder(name)
        folder.begin(ours)
        folder.learn({"/a": "1"})
        (folder.path / "imported.json").write_bytes(left_over)
        folder.release()
        folder = work_folder(name)
        folder.begin(ours)
        assert folder.sources == {"st:f": "1"}
        folder.release()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, OutputError),
        (errno.EDQUOT, OutputError),
        (errno.EIO, OutputError),
        (errno.EFBIG, OutputError),
        (errno.EMFILE, OutputError),
        (errno.ENFILE, OutputError),
        (errno.EROFS, UsageError),
        (errno.EACCES, UsageError),
    ],
)
def test_what_the_machine_refuses_at_the_beginning_is_no_mistake_in_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[PercoreError]
) -> None:
    def refuse(path: Path, pieces: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("workers.work_folder.write_whole", refuse)
    name = f"{tmp_path}/out.jsonl"
    with pytest.raises(PercoreError) as refused:
        work_folder(name).begin(manifest())
    assert type(refused.value) is kind
    why = os.strerror(number) + (" (raise `ulimit -n`, or lower --workers)" if number == errno.EMFILE else "")
    assert str(refused.value) == f"can't write {name}: {why}: {name}.percore"
    assert not left(name)


def test_a_retry_of_nothing_is_refused(tmp_path: Path) -> None:
    """It would be the whole job: -o may be mistyped."""
    name = f"{tmp_path}/out.jsonl"
    assert f"no earlier run of {name} to go on with" in refusal(name, retry=ALL_KINDS)
    assert not left(name)


def test_an_output_that_was_touched_is_nobodys(tmp_path: Path) -> None:
    name = f"{tmp_path}/out.jsonl"
    run(name)
    Path(name).write_bytes(content() + b"{}\n")
    assert "was changed after it was written" in refusal(name)
    assert "was changed after it was written" in refusal(name, retry=ALL_KINDS)


def test_an_output_without_receipt_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("precious")
    assert "never overwritten; --fresh replaces it" in refusal(f"{tmp_path}/out.jsonl")
    assert left(f"{tmp_path}/out.jsonl") == ["out.jsonl"]


@BOTH
def test_an_output_that_appears_meanwhile_is_not_replaced(form: str, tmp_path: Path) -> None:
    name = f"{tmp_path}/{form}"
    folder = work_folder(name)
    folder.begin(manifest())
    fetch(folder, failed=True)
    if form.endswith("/"):
        Path(name).mkdir()
    else:
        Path(name).write_text("precious")
    with pytest.raises(OutputError, match="appeared since the start"):
        publish(folder)
    del folder
    assert "has appeared since" in refusal(name)
    assert (tmp_path / f"{form.rstrip('/')}.percore" / "manifest.json").exists()


def test_nothing_to_do_is_said_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{tmp_path}/out.jsonl"
    run(name)
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: pytest.fail("it makes a folder"))
    assert run(name) is None
