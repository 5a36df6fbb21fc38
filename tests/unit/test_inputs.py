from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UsageError
from app.model.outcome import ErrorKind, Failure
from app.model.request import Request, StoredResponse
from app.sources import inputs as inputs_module
from app.sources.inputs import Inputs
from tests.support.inputs import PACKINGS, entries, parquet, read, wild, write
from tests.support.warcs import answer, record

# --- several, and what is wrong with them ----------------------------------------------------------------------


def test_several_inputs_are_one_stream(tmp_path: Path) -> None:
    names = [
        write(tmp_path, "a.txt", b"http://a/\n# note\n"),
        write(tmp_path, "b.jsonl.gz", gzip.compress(b'{"url":"http://b/","method":"PUT"}\n# none\n')),
        write(tmp_path, "c.csv", b"url\nhttp://c/\n"),
        write(tmp_path, "d.warc", record(answer(b"x"), url="http://d/")),
        parquet(tmp_path / "e.parquet", {"url": ["http://e/"]}),
        write(tmp_path, "f.txt", b""),
        write(tmp_path, "g.txt", b"http://g/"),
    ]
    found = read(*names)
    assert [(each.index, each.url) for each in found] == [
        (0, "http://a/"), (2, "http://b/"), (3, "# none"), (4, "http://c/"), (5, "http://d/"), (6, "http://e/"),
        (7, "http://g/"),
    ]  # fmt: skip
    assert isinstance(found[1].request, Request)
    assert found[1].request.method == "PUT"
    assert isinstance(found[2].request, Failure), "JSON has no comments"


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_a_file_that_breaks_off_is_one_failed_record_and_the_next_goes_on(tmp_path: Path, packing: str) -> None:
    lines = b"".join(b"http://a/%d\n" % n for n in range(40_000))
    packed = PACKINGS[packing](lines)
    first = write(tmp_path, "a.txt" + packing, packed[: len(packed) * 3 // 4])
    second = write(tmp_path, "b.txt", b"http://b/\n")
    *whole, broken, last = read(first, second)
    assert len(whole) > 1000
    assert [each.url for each in whole] == [f"http://a/{n}" for n in range(len(whole))], "no torn line"
    assert isinstance(broken.request, Failure)
    assert broken.request.kind is ErrorKind.INVALID_REQUEST
    assert "can't be read any further" in broken.request.message
    assert last.url == "http://b/"
    assert last.index == len(whole) + 1


def test_mistakes_are_told_before_anything_is_read(tmp_path: Path) -> None:
    good = write(tmp_path, "a.txt", b"http://a/\n")
    for bad, said in (
        (str(tmp_path / "none.txt"), "No such file"),
        (str(tmp_path / "none.of-a-name"), "No such file"),
        (str(tmp_path), "it is a folder"),
        (write(tmp_path, "a.foo", b"http://a/\n"), "can't tell the format"),
        ("http://a.example/", "INPUT is a file of URLs, not a URL"),
        (write(tmp_path, "b.csv", b"address\nhttp://a/\n"), "b.csv: no column 'url'"),
        (write(tmp_path, "u.txt", "http://a/".encode("utf-16")), "UTF-16"),
    ):
        with pytest.raises(UsageError, match=said):
            Inputs([good, bad])
    with pytest.raises(UsageError, match="folder"):
        Inputs([str(tmp_path)], "txt")
    with pytest.raises(UsageError, match="once only"):
        Inputs(["-", "-"])
    with pytest.raises(UsageError, match="no input"):
        Inputs([])


def test_what_proves_to_be_something_else_later_costs_nothing_that_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs_module, "_LOOK_FILES", 1)
    good = write(tmp_path, "a.txt", b"http://a/\n")
    bad = write(tmp_path, "b.csv", b"address\nhttp://b/\n")
    first, failed, last = read(good, bad, write(tmp_path, "c.txt", b"http://c/\n"))
    assert (first.url, last.url, last.index) == ("http://a/", "http://c/", 2)
    assert isinstance(failed.request, Failure)
    assert failed.request.kind is ErrorKind.INVALID_REQUEST
    assert failed.request.message.startswith(f"can't read {bad}: no column 'url'")


def test_the_first_ones_mistake_is_told_though_nobody_has_looked_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs_module, "_LOOK_FILES", 0)
    with pytest.raises(UsageError, match="no column 'url'"):
        read(write(tmp_path, "b.csv", b"address\nhttp://b/\n"), write(tmp_path, "a.txt", b"http://a/\n"))


def test_want_of_pyarrow_is_told_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no property of the file's, so it must not become a record."""
    monkeypatch.setattr(inputs_module, "_LOOK_FILES", 1)
    monkeypatch.setattr(inputs_module, "find_spec", lambda _: None)
    good, late = write(tmp_path, "a.txt", b"http://a/\n"), write(tmp_path, "b.parquet", b"PAR1")
    with pytest.raises(UsageError, match="Parquet needs pyarrow"):
        Inputs([good, late])


WILD_LINES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from([b"http://a/", b"\xef\xbb\xbf", b"\0", b"\r", b'"', b"\xff\xfe", b"{", b'{"url":"http://a/"}']),
    )
).map(lambda parts: b"\n".join(parts))


@wild
@given(
    WILD_LINES,
    st.sampled_from(["txt", "jsonl", "csv", "tsv", "sitemap", "warc"]),
    st.sampled_from(sorted(PACKINGS)),
    st.integers(0, 30),
)
def test_any_bytes_are_entries_or_refused(tmp_path: Path, data: bytes, format_: Any, packing: str, cut: int) -> None:
    heads = {"csv": b"url,x\n", "tsv": b"url\tx\n", "sitemap": b"<urlset>", "warc": record(answer(b"x"))}
    packed = PACKINGS[packing](heads.get(format_, b"") + data)
    name = write(tmp_path, "wild", packed[: len(packed) - cut])
    try:
        found = read(name, format=format_)
    except UsageError:
        return
    for entry in found:
        json.dumps(entry.url)
        entry.url.encode()
    assert found == read(name, format=format_), "the same once more"


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a.csv", "a.jsonl"])
def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, name: str) -> None:
    head = {"a.tsv": b"url\n", "a.csv": b"url\n"}.get(name, b"")
    inputs = Inputs([write(tmp_path, f"{name}.gz", gzip.compress(head + bytes(b"x" * (64 << 20)) + b"\nhttp://a/"))])
    sizes = [len(line) for line in inputs.lines()]
    assert max(sizes) < 5 << 20
    assert len(sizes) >= 2


# --- what is known of them -------------------------------------------------------------------------------------


def test_what_can_be_read_again_is_told_by_size_and_time(tmp_path: Path) -> None:
    first = write(tmp_path, "a.txt", b"http://a/\n")
    second = write(tmp_path, "b.txt", b"")
    inputs = Inputs([first, second])
    assert inputs.is_repeatable
    assert inputs.fingerprint() == [
        (os.path.realpath(name), os.stat(name).st_size, os.stat(name).st_mtime_ns) for name in (first, second)
    ]
    assert inputs.is_same_file(second)
    assert not inputs.is_same_file(str(tmp_path / "none"))


def test_a_name_that_is_no_text_can_be_told(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.warc")
    Path(name).write_bytes(record(answer(b"x")) + b"garbage\n")
    inputs = Inputs([name])
    json.dumps(inputs.fingerprint()).encode()
    stored, broken = entries(inputs)
    assert isinstance(stored.request, StoredResponse)
    assert stored.request.path == os.fsencode(name)
    assert isinstance(broken.request, Failure)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[str]:
    """A named pipe into which somebody writes two URLs, gzipped."""
    name = str(tmp_path / "pipe.txt")
    os.mkfifo(name)
    writer = threading.Thread(target=lambda: Path(name).write_bytes(gzip.compress(b"http://a/\nhttp://b/\n")))
    writer.start()
    yield name
    writer.join()


def test_a_pipe_is_read_once_and_not_before_it_is_asked_for(pipe: str) -> None:
    inputs = Inputs([pipe])
    assert not inputs.is_repeatable
    assert inputs.read_share() is None
    assert inputs.count_lines(10) == 10
    assert inputs.fingerprint()[0][1:] == (-1, -1)
    assert [each.url for each in entries(inputs)] == ["http://a/", "http://b/"]


@pytest.mark.parametrize("format_", ["warc", "parquet"])
def test_what_is_read_twice_is_no_pipe(tmp_path: Path, format_: Any) -> None:
    name = str(tmp_path / "pipe")
    os.mkfifo(name)
    writer = threading.Thread(target=lambda: open(name, "wb").close())
    writer.start()
    with pytest.raises(UsageError, match="into a file"):
        read(name, format=format_)
    writer.join()


def test_the_share_that_was_read_grows_to_all(tmp_path: Path) -> None:
    lines = b"".join(b"http://a/%d\n" % n for n in range(100_000))
    inputs = Inputs(
        [
            write(tmp_path, "a.txt", lines),
            write(tmp_path, "b.txt.gz", gzip.compress(lines)),
            parquet(tmp_path / "c.parquet", {"url": [f"http://a/{n}" for n in range(100_000)]}),
        ]
    )
    assert inputs.read_share() == 0.0
    shares = [inputs.read_share() or 0.0 for _ in inputs.lines()]
    assert shares == sorted(shares)
    assert len(set(shares)) > 10
    assert inputs.read_share() == 1.0


def test_lines_are_counted_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [write(tmp_path, "a.txt", b"http://a/\n" * 7), write(tmp_path, "b.csv", b"url\nhttp://a/\n\n")]
    assert Inputs(names).count_lines(100) == 9
    assert Inputs(names).count_lines(8) == 8
    long = write(tmp_path, "c.txt.gz", gzip.compress(b"x" * (2 << 20)))
    assert Inputs([*names, long]).count_lines(100) == 10
    monkeypatch.setattr(inputs_module, "_COUNT_BYTES", 1 << 20)
    assert Inputs([*names, long]).count_lines(100) == 100, "it would take long to know"


def test_closed_inputs_end(tmp_path: Path) -> None:
    inputs = Inputs([write(tmp_path, "a.txt", b"http://a/\n" * 200_000), write(tmp_path, "b.txt", b"http://b/\n")])
    lines = inputs.lines()
    next(lines)
    inputs.close()
    with pytest.raises((ValueError, OSError)):
        list(lines)
    assert list(inputs.lines()) == []


def test_standard_input_is_not_read_before_it_is_asked_for() -> None:
    assert Inputs(["-"]).fingerprint() == [("-", -1, -1)]
