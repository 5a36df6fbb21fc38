from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UnknownStage
from app.fetching.page import Page as FetchedPage
from app.stages import Page, stage
from app.stages.crossing import CALL, argument_of, call
from app.stages.testing import make_page
from app.stages.values import Earlier, encoded


@stage(runs_in="process")
def everything(page: Page, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """What a stage may look at; bytes as base64."""
    return {
        "status": page.status_code,
        "ok": page.ok,
        "reason": page.reason,
        "url": page.url,
        "headers": dict(page.headers),
        "twice": page.raw.headers.getlist("x-twice"),
        "lower": page.lower_headers(),
        "encoding": page.encoding,
        "content": page.content,
        "body": page.body,
        "text": page.text,
        "cookies": page.cookies.get_dict(),
        "elapsed_s": page.elapsed.total_seconds(),
        "history": [(hop.status_code, hop.url, hop.headers.get("location")) for hop in page.history],
        "method": page.request.method,
        "is_page": isinstance(page, FetchedPage),
        "memo": page.memo,
        "earlier": dict(earlier),
    }


@stage(runs_in="process")
def parsed(page: Page) -> Any:
    return page.json()


@stage(runs_in="process")
def failing(page: Page) -> None:
    raise ValueError(f"no luck with {page.url}")


@stage(runs_in="process")
def no_json(page: Page) -> object:
    return {"a": object()}


@stage(runs_in="process", argument=int)
def head(page: Page, *, argument: int = 5) -> str:
    return page.text[:argument]


@stage(runs_in="process")
def pid(page: Page) -> int:
    return os.getpid()


def plain(page: Page, earlier: Mapping[str, Any]) -> list[str]:
    return [page.text, *earlier]


plain_stage = stage("plain", runs_in="process")(plain)

_HEADERS = {"Content-Type": "text/html; charset=latin-1", "X-Twice": "1", "Set-Cookie": "c=1", "X-Wild": "\xe9 \x7f"}


def _page() -> Page:
    page = make_page("café".encode("latin-1"), url="http://h.test/x?q=1", status=203, headers=_HEADERS)
    page.history = [make_page(url="http://h.test/", status=302, headers={"Location": "/x?q=1"})]
    page.elapsed = timedelta(seconds=0.25)
    page.memo["tree"] = object()
    return page


def _over(page: Page, earlier: Mapping[str, Any]) -> Any:
    return msgspec.json.decode(call(memoryview(b"".join(argument_of(everything, page, earlier)))))


def test_neither_the_body_nor_earlier_values_are_copied() -> None:
    """On the hub that would take some ms where they are large."""
    page, value = make_page(b"body"), msgspec.Raw(b'"value"')
    _, sent, body = argument_of(head, page, Earlier({"before": value}))
    assert body is page.body
    assert isinstance(sent, memoryview)
    assert sent.obj is value


def test_all_that_a_stage_may_look_at_crosses() -> None:
    earlier = Earlier({"title": encoded("T"), "links": encoded(["a"])})
    here = everything(_page(), earlier)
    there = _over(_page(), earlier)
    assert there.pop("memo") == {}
    assert "tree" in here.pop("memo")
    assert there == msgspec.json.decode(encoded(here))
    assert (there["text"], there["cookies"], there["elapsed_s"]) == ("café", {"c": "1"}, 0.25)
    assert there["history"] == [[302, "http://h.test/", "/x?q=1"]]
    assert there["earlier"] == {"title": "T", "links": ["a"]}


def test_repeated_headers_stay_apart() -> None:
    page = make_page("x", headers={"X-Twice": "1", "x-twice": "2"})
    assert _over(page, {})["twice"] == ["1", "2"]


def test_what_a_stage_did_to_the_page() -> None:
    page = make_page(b"caf\xe9", headers={"X-Twice": "1", "x-twice": "2"})
    page.encoding = "latin-1"
    page.headers["X-Mine"] = "1"
    there = _over(page, {"n": (1, 2)})
    assert (there["text"], there["earlier"]) == ("café", {"n": [1, 2]})
    assert ("X-Mine" in there["headers"], there["twice"]) == (False, ["1", "2"])


def test_a_page_of_another_transport_crosses() -> None:
    response = requests.Response()
    response._content, response.status_code, response.url, response.reason = b"body", 200, "http://h.test/", "Fine"
    response.headers["X-A"] = "é → ü\r\nX-Not: 1"
    response.request = requests.Request("POST", "http://h.test/").prepare()
    there = _over(Page.of(response), {})
    assert (there["body"], there["reason"], there["method"]) == ("Ym9keQ==", "Fine", "POST")
    assert there["headers"] == {"X-A": "é ? ü X-Not: 1"}


@given(st.binary(), st.integers(100, 999), st.text(st.characters(max_codepoint=255, exclude_characters="\r\n")))
def test_any_bytes_cross(body: bytes, status: int, value: str) -> None:
    page = make_page(body, status=status, headers={"X-Any": value})
    here, there = everything(page, {}), _over(page, {})
    assert (there["status"], there["text"]) == (status, page.text)
    assert there["headers"] == here["headers"]


def test_json_and_what_is_none() -> None:
    assert call(b"".join(argument_of(parsed, make_page('{"a": [1]}'), {}))) == b'{"a":[1]}'
    with pytest.raises(requests.exceptions.JSONDecodeError):
        call(b"".join(argument_of(parsed, make_page("no"), {})))


def test_what_the_stage_raises_comes_out() -> None:
    with pytest.raises(ValueError, match=r"no luck with http://site\.example/"):
        call(b"".join(argument_of(failing, make_page(), {})))
    with pytest.raises(TypeError, match=r"value\['a'\] is a object"):
        call(b"".join(argument_of(no_json, make_page(), {})))


def test_an_argument_crosses_as_its_text() -> None:
    assert call(b"".join(argument_of(head.with_argument("2"), make_page("abcdefgh"), {}))) == b'"ab"'
    assert call(b"".join(argument_of(head, make_page("abcdefgh"), {}))) == b'"abcde"'


def test_a_function_that_is_no_stage_under_its_name() -> None:
    assert call(b"".join(argument_of(plain_stage, make_page("a"), {"t": 1}))) == b'["a","t"]'


def test_a_reference_that_leads_nowhere() -> None:
    lost = msgspec.structs.replace(pid, reference="tests.unit.test_stage_crossing:gone")
    with pytest.raises(UnknownStage, match="has no 'gone'"):
        call(b"".join(argument_of(lost, make_page(), {})))


def test_in_another_process() -> None:
    """As app.cpu's children do it: a fresh interpreter that is told a reference and given bytes."""
    program = (
        "import importlib, sys\n"
        "module, _, function = sys.argv[1].partition(':')\n"
        "value = getattr(importlib.import_module(module), function)(sys.stdin.buffer.read())\n"
        "from gevent import monkey\n"
        "assert not monkey.saved, 'patched'\n"
        "sys.stdout.buffer.write(value)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, CALL],
        input=b"".join(argument_of(pid, make_page(), {})),
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
        check=True,
        timeout=60,
    )
    assert int(done.stdout) != os.getpid()


@pytest.mark.parametrize("value", ["a\r\nX-B: 1", "a\nb", "→"])
def test_headers_that_no_server_could_send(value: str) -> None:
    with pytest.raises(ValueError):
        make_page(headers={"X-A": value})
