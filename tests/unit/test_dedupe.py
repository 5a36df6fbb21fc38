from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import OutputError
from app.sources import dedupe
from app.sources.dedupe import Unique, request_key
from app.sources.forms import URL, json_line, unreadable_line


def kept(folder: Path, lines: list[bytes]) -> list[int]:
    """Numbers of the lines that stay."""
    found = Unique(lines, folder)
    got = list(found)
    assert len(got) == len(lines), "every line keeps its number"
    assert all(after in (before, b"") for before, after in zip(lines, got, strict=True))
    stays = [number for number, line in enumerate(got) if line or not lines[number]]
    assert found.dropped == len(lines) - len(stays)
    return stays


def test_the_first_of_the_same_stays(tmp_path: Path) -> None:
    lines = [
        URL + b"http://a/",
        URL + b" HTTP://A:80/#x \r",
        json_line(b'{"url":"http://a/","id":5,"meta":{"x":1},"timeout_s":3}'),
        json_line(b'{"url":"http://a/","method":"get","headers":{}}'),
        URL + b"http://b/",
        URL + b"http://a",
    ]
    assert kept(tmp_path, lines) == [0, 4]
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_requests_that_differ_in_what_is_sent_are_different(tmp_path: Path) -> None:
    objects = [
        {"url": "http://a/"},
        {"url": "http://a/", "method": "PUT"},
        {"url": "http://a/", "method": "PUT", "body": ""},
        {"url": "http://a/", "method": "PUT", "body": "x"},
        {"url": "http://a/", "headers": {"Accept": "x"}},
        {"url": "http://a/", "headers": {"Accept": "y"}},
        {"url": "http://a/", "headers": {"ACCEPT": "y"}},
    ]
    assert kept(tmp_path, [json_line(json.dumps(each).encode()) for each in objects]) == [0, 1, 2, 3, 4, 5]


def test_what_is_no_request_is_never_dropped(tmp_path: Path) -> None:
    lines = [b"", URL + b"", URL + b"# note", json_line(b"{"), json_line(b"{}"), unreadable_line("x"), b"sx"]
    assert kept(tmp_path, lines * 2) == list(range(14))


def test_what_an_earlier_run_saw_does_not_count(tmp_path: Path) -> None:
    stopped = iter(Unique([URL + b"http://a/", URL + b"http://b/"], tmp_path))
    next(stopped)
    assert kept(tmp_path, [URL + b"http://a/"]) == [0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 30)))
def test_as_a_set_in_memory_would(tmp_path: Path, numbers: list[int]) -> None:
    lines = [URL + b"http://a/%d" % number for number in numbers]
    assert kept(tmp_path, lines) == [n for n, line in enumerate(lines) if line not in lines[:n]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary())
def test_any_line_has_a_key_or_none(line: bytes) -> None:
    for tag in (b"u", b"j", b"s", b"!"):
        assert isinstance(request_key(tag + line), bytes | None)


def test_two_with_the_same_key_are_both_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class SameKey:
        def __init__(self, data: bytes, digest_size: int) -> None:
            self._data = data

        def digest(self) -> bytes:
            return bytes(8) + self._data[-4:]

    monkeypatch.setattr(dedupe, "blake2b", SameKey)
    lines = [URL + b"http://a/1111", URL + b"http://a/2222", URL + b"http://a/1111"]
    assert kept(tmp_path, lines) == [0, 1]


def test_no_room_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="which requests were seen"):
        list(Unique([URL + b"http://a/"], tmp_path / "none"))
