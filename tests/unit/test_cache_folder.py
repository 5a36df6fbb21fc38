"""The cache's folder: whole files at any moment, shared by processes, within a size."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import UsageError
from app.files.cache_folder import CacheFolder, open_folder
from tests.support.kill_points import kill_points

NAMES = [f"{number:02x}{number:030x}" for number in range(0, 256, 5)]
NOW_S = 1_800_000_000
SIZE_BYTES = 100_000


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    open_folder(tmp_path)
    return CacheFolder(tmp_path)


def content(folder: CacheFolder, name: str) -> bytes | None:
    path = Path(folder.path(name))
    return path.read_bytes() if path.exists() else None


def used_bytes(folder: CacheFolder, names: list[str] = NAMES) -> int:
    paths = [Path(folder.path(name)) for name in names]
    return sum(path.stat().st_blocks * 512 for path in paths if path.exists())


def write_aged(folder: CacheFolder, names: list[str], size_bytes: int = SIZE_BYTES) -> None:
    """The first one was used the longest ago."""
    for age, name in enumerate(reversed(names)):
        folder.write(name, [os.urandom(size_bytes)])
        os.utime(folder.path(name), (NOW_S - age * 60, NOW_S - age * 60))


def test_written_and_removed(folder: CacheFolder) -> None:
    name = NAMES[0]
    assert content(folder, name) is None
    folder.write(name, [b"a", b"", b"bc" * 100_000])
    assert content(folder, name) == b"a" + b"bc" * 100_000
    folder.write(name, [b"d"])
    assert content(folder, name) == b"d"
    folder.amend(name, b"")
    folder.write(name, [b"abc"])
    folder.amend(name, b"xy")
    assert content(folder, name) == b"xyc"
    folder.remove(name)
    folder.remove(name)
    with pytest.raises(FileNotFoundError):
        folder.amend(name, b"x")
    assert content(folder, name) is None


def test_it_is_its_owners_alone_and_says_what_it_is(tmp_path: Path) -> None:
    made = tmp_path / "a" / "b"
    open_folder(made)
    open_folder(made)
    CacheFolder(made).write(NAMES[0], [b"x"])
    assert (made / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    assert all(path.stat().st_mode & 0o077 == 0 for path in [made, *made.glob("v1/**/*")] if path.name != "lock")


def test_no_folder_can_be_made_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="can't be used: Not a directory"):
        open_folder(tmp_path / "file" / "cache")


def test_killed_at_any_moment_the_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    open_folder(tmp_path)
    folder = CacheFolder(tmp_path)
    seen = set()

    def work() -> None:
        CacheFolder(tmp_path).write(NAMES[0], [b"new", b"er"])

    for _ in kill_points(lambda: folder.write(NAMES[0], [b"old"]), work):
        seen.add(content(folder, NAMES[0]))
    assert seen == {b"old"}
    assert content(folder, NAMES[0]) == b"newer"
    left = list((tmp_path / "v1" / "unfinished").iterdir())
    assert left, "a file that was begun"
    for path in left:
        os.utime(path, (NOW_S - 3000, NOW_S - 3000))
    folder.keep_within(10**9, NOW_S)
    assert list((tmp_path / "v1" / "unfinished").iterdir()) == left, "its process may be alive"
    folder.keep_within(10**9, NOW_S + 1000)
    assert not list((tmp_path / "v1" / "unfinished").iterdir())


def test_a_write_that_fails_leaves_nothing(folder: CacheFolder, tmp_path: Path) -> None:
    (tmp_path / "v1" / NAMES[0][:2]).rmdir()
    with pytest.raises(FileNotFoundError):
        folder.write(NAMES[0], [b"x"])
    assert not list((tmp_path / "v1" / "unfinished").iterdir())


def test_what_was_not_used_for_longest_goes_first(folder: CacheFolder) -> None:
    write_aged(folder, NAMES)
    total = used_bytes(folder)
    limit = total // 2
    assert folder.keep_within(limit, NOW_S) == used_bytes(folder) <= limit * 0.9
    left = [name for name in NAMES if content(folder, name) is not None]
    assert left == NAMES[-len(left) :]
    assert used_bytes(folder) > limit * 0.8, "and no more than has to"


def test_of_the_same_minute_no_more_go_than_have_to(folder: CacheFolder) -> None:
    write_aged(folder, NAMES)
    for name in NAMES:
        os.utime(folder.path(name), (NOW_S, NOW_S))
    limit = used_bytes(folder) - 1
    folder.keep_within(limit, NOW_S)
    assert limit * 0.85 < used_bytes(folder) <= limit * 0.9


def test_within_the_limit_nothing_goes(folder: CacheFolder) -> None:
    write_aged(folder, NAMES)
    total = used_bytes(folder)
    assert folder.keep_within(total, NOW_S) == total
    assert folder.keep_within(total * 100, NOW_S) == total
    assert used_bytes(folder) == total


def test_of_many_files_a_sample_tells(folder: CacheFolder) -> None:
    names = [f"{number % 256:02x}{number:030x}" for number in range(256 * 32)]
    for name in names:
        Path(folder.path(name)).touch()
    assert folder.keep_within(10**9, NOW_S) == 0
    Path(folder.path(names[255])).write_bytes(b"x")
    assert folder.keep_within(10**9, NOW_S) == 0, "it was not looked at"
    Path(folder.path(names[3])).write_bytes(b"x")
    assert folder.keep_within(10**9, NOW_S) == 16 * 4096
    assert folder.keep_within(100_000, NOW_S) == 8192, "near the limit all are"


def test_while_another_process_is_at_it_nothing_goes(folder: CacheFolder, tmp_path: Path) -> None:
    write_aged(folder, NAMES)
    total = used_bytes(folder)
    with open(tmp_path / "v1" / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert folder.keep_within(1_000_000, NOW_S) == 900_000
    assert used_bytes(folder) == total


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=20),
    used_s=st.lists(st.integers(0, 3600), min_size=20, max_size=20),
    limit=st.integers(1, 400_000),
)
def test_whatever_is_there_it_fits_afterwards(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], used_s: list[int], limit: int
) -> None:
    path = tmp_path_factory.mktemp("cache")
    open_folder(path)
    folder = CacheFolder(path)
    for name, size, at_s in zip(NAMES, sizes, used_s, strict=False):
        folder.write(name, [b"x" * size])
        os.utime(folder.path(name), (at_s, at_s))
    assert folder.keep_within(limit, NOW_S) == used_bytes(folder) <= limit
