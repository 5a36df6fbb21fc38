"""What goes up: bodies of every kind that requests takes, framed as they should be. The same on every transport."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.origin import Origin, body_of

BIG = body_of(3_000_000)


def sent(answer: requests.Response) -> tuple[bytes, dict[str, str]]:
    """The body that came, and the headers."""
    echoed = answer.json()
    return base64.b64decode(echoed["body_base64"]), dict(echoed["headers"])


def pieces(size_bytes: int = 100_000) -> Iterator[bytes]:
    for start in range(0, len(BIG), size_bytes):
        yield BIG[start : start + size_bytes]


@pytest.mark.parametrize(
    ("data", "wire"),
    [
        (b"bytes", b"bytes"),
        ("text, in UTF-8: ✓", "text, in UTF-8: ✓".encode()),
        (bytearray(b"array"), b"array"),
        ({"a": "1", "b": ["2", "3"]}, b"a=1&b=2&b=3"),
        (BIG, BIG),
        (b"", b""),
    ],
    ids=["bytes", "str", "bytearray", "form", "big", "empty"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_has_a_length(session: requests.Session, origin: Origin, data: Any, wire: bytes, stream: bool) -> None:
    body, headers = sent(session.post(origin.url("/echo"), data=data, stream=stream))
    assert body == wire
    assert headers["content-length"] == str(len(wire))
    assert not {"transfer-encoding", "expect"} & headers.keys()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_no_body_has_its_length_too(session: requests.Session, origin: Origin, method: str) -> None:
    _, headers = sent(session.request(method, origin.url("/echo")))
    assert headers["content-length"] == "0"


def test_a_file(session: requests.Session, origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BIG)
    with open(tmp_path / "file", "rb") as file:
        file.seek(10)
        body, headers = sent(session.put(origin.url("/echo"), data=file))
    assert body == BIG[10:]
    assert headers["content-length"] == str(len(BIG) - 10)


def test_a_generator_goes_in_chunks(session: requests.Session, origin: Origin) -> None:
    body, headers = sent(session.post(origin.url("/echo"), data=pieces()))
    assert body == BIG
    assert headers["transfer-encoding"] == "chunked"
    assert not {"content-length", "expect"} & headers.keys()


def test_an_empty_generator(session: requests.Session, origin: Origin) -> None:
    assert sent(session.post(origin.url("/echo"), data=iter([])))[0] == b""
    assert sent(session.post(origin.url("/echo"), data=iter([b"", b"a", b""])))[0] == b"a"


def test_what_a_generator_raises_comes_out(session: requests.Session, origin: Origin) -> None:
    def broken() -> Iterator[bytes]:
        yield b"first"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        session.post(origin.url("/echo"), data=broken())
    assert session.get(origin.url("/ok")).status_code == 200


def test_multipart(session: requests.Session, origin: Origin) -> None:
    files = {"file": ("name.bin", io.BytesIO(BIG), "application/x-thing")}
    body, headers = sent(session.post(origin.url("/echo"), data={"field": "value"}, files=files))
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="field"\r\n\r\nvalue\r\n' in body
    assert b'filename="name.bin"\r\nContent-Type: application/x-thing\r\n\r\n' + BIG in body
    assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize("data", [b"bytes", pieces], ids=["bytes", "generator"])
def test_expecting_continue_if_the_user_says_so(session: requests.Session, origin: Origin, data: Any) -> None:
    given = data() if callable(data) else data
    body, headers = sent(session.post(origin.url("/echo"), data=given, headers={"Expect": "100-continue"}))
    assert headers["expect"] == "100-continue"
    assert body == (BIG if callable(data) else data)


def test_a_file_is_sent_again_after_a_redirect(session: requests.Session, origin: Origin) -> None:
    file = io.BytesIO(BIG)
    answer = session.post(origin.url("/redirect-to?status=307&url=/echo"), data=file)
    assert [page.status_code for page in answer.history] == [307]
    assert sent(answer)[0] == BIG


def test_a_form_becomes_a_get_after_a_303(session: requests.Session, origin: Origin) -> None:
    answer = session.post(origin.url("/redirect-to?status=303&url=/echo"), data={"a": "1"})
    assert answer.json()["method"] == "GET"
    assert sent(answer)[0] == b""


def test_an_upload_whose_answer_is_streamed(session: requests.Session, origin: Origin) -> None:
    with session.post(origin.url("/big/200000"), data=pieces(), stream=True) as answer:
        assert b"".join(answer.iter_content(10_000)) == body_of(200_000)
