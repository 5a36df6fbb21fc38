"""A process in which gevent has patched everything, as in a worker, and which fetches what a test tells it.

The test's own process stays unpatched: its servers run in threads. Here every way to fetch is one `How`; what comes
back is either the answer or the name of what was raised.

    with running_fetcher(transport="curl") as fetcher:
        (result,) = fetcher.fetch([Ask(url, how="stream")])

By hand, as the child: `python -m tests.support.fetch_child TRANSPORT`: one JSON list a line in, one out.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tests.support.processes import HANG_GUARD_S, ROOT, Running, running_process

KEPT_BYTES = 1_000

# How a test may fetch: Session.fetch (a record's error kind comes back), or a stock requests.Session over our adapter
# or its own (the exception's name comes back), at once or as a stream.
How = Literal["fetch", "whole", "stream"]
Transport = Literal["curl", "requests"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One fetch. `timeout_s`: the deadline of `fetch`, the read timeout of the others."""

    url: str
    how: How = "fetch"
    method: str = "GET"
    body: str | None = None
    timeout_s: float = 20.0
    verify: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    max_body_bytes: int = 1 << 20
    max_redirects: int = 10


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it: `raised` is an error kind or the name of an exception; "" with an answer.

    An exception that is none of requests' own has a "!" before its name. `body` is the first KEPT_BYTES of `size`.
    """

    raised: str
    said: str = ""
    status: int = 0
    body: bytes = b""
    size: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    url: str = ""

    @property
    def word(self) -> str:
        """All that matters in one line: what was raised, or status and body (its size if that is above 20)."""
        return self.raised or f"{self.status} {self.body!r}" if self.size <= 20 else f"{self.status} {self.size} bytes"


class Fetcher:
    """A running child."""

    def __init__(self, process: Running, transport: Transport) -> None:
        self.process = process
        self.transport = transport
        self._lines = 0

    def fetch(self, asks: Sequence[Ask]) -> list[Told]:
        """All of them at once, results in their order; and afterwards nothing may be left over in the child."""
        self.process.stdin.write(json.dumps([asdict(ask) for ask in asks]).encode() + b"\n")
        self.process.stdin.flush()
        self._lines += 1
        line = self.process.wait_for_line(f'{{"answer": {self._lines},', stream="stdout", timeout_s=3 * HANG_GUARD_S)
        answer = json.loads(line)
        assert answer["left"] == {}, f"left behind: {answer['left']}"
        return [
            Told(**{**one, "body": base64.b64decode(one["body"]), "headers": tuple(map(tuple, one["headers"]))})
            for one in answer["told"]
        ]


@contextmanager
def running_fetcher(transport: Transport, env: dict[str, str] | None = None) -> Iterator[Fetcher]:
    """A child, until the `with` ends."""
    command = [sys.executable, "-m", "tests.support.fetch_child", transport]
    with running_process(command, cwd=ROOT, stdin=subprocess.PIPE, term_grace_s=0.0, env=env) as process:
        yield Fetcher(process, transport)


def _main(transport: Transport) -> None:
    from gevent import monkey

    monkey.patch_all()
    import gevent
    from gevent.fileobject import FileObject

    child = _Child(transport)
    lines = FileObject(sys.stdin.fileno(), "rb")
    for number, line in enumerate(lines, 1):
        jobs = [gevent.spawn(child.fetch, Ask(**ask)) for ask in json.loads(line)]
        gevent.joinall(jobs, raise_error=True)
        told = [job.value for job in jobs]
        del jobs
        print(json.dumps({"answer": number, "told": told, "left": child.left()}), flush=True)


class _Child:
    def __init__(self, transport: Transport) -> None:
        self._transport: Transport = transport

    def fetch(self, ask: Ask) -> dict[str, Any]:
        import requests

        from app.errors import FetchError, InvalidRequest

        result: dict[str, Any] = {"raised": "", "body": "", "headers": []}
        try:
            response = self._fetch(ask) if ask.how == "fetch" else self._stock(ask)
        except InvalidRequest:
            result["raised"] = "invalid_request"
        except FetchError as error:
            result.update(raised=error.kind.value, said=str(error))
        except requests.RequestException as error:
            result.update(raised=type(error).__name__, said=str(error)[:300])
        except Exception as error:
            result.update(raised=f"!{type(error).__name__}", said=str(error)[:300])
        else:
            body = response.content or b""
            result.update(
                status=response.status_code,
                body=base64.b64encode(body[:KEPT_BYTES]).decode(),
                size=len(body),
                headers=list(response.headers.items()),
                url=response.url,
            )
        return result

    def _fetch(self, ask: Ask) -> Any:
        from app.fetching.session import Session
        from app.model.request import Request

        session = Session(
            transport=self._transport,
            ca_bundle=ask.verify,
            max_body_bytes=ask.max_body_bytes,
            max_redirects=ask.max_redirects,
        )
        request = Request(url=ask.url, method=ask.method, headers=ask.headers, body=ask.body)
        return session.fetch(request, timeout_s=ask.timeout_s)

    def _stock(self, ask: Ask) -> Any:
        import requests

        from app.fetching.adapter import CurlAdapter

        with requests.Session() as session:
            session.trust_env = False
            session.max_redirects = ask.max_redirects
            if self._transport == "curl":
                session.mount("http://", CurlAdapter())
                session.mount("https://", CurlAdapter())
            response = session.request(
                ask.method,
                ask.url,
                data=ask.body,
                headers=ask.headers,
                timeout=ask.timeout_s,
                verify=ask.verify or True,
                stream=ask.how == "stream",
            )
            if ask.how == "stream":
                with response:
                    response._content = b"".join(response.iter_content(1000))  # type: ignore[attr-defined]
            return response

    def left(self) -> dict[str, int]:
        """What must be gone once nobody fetches."""
        import gc

        import gevent

        from app.fetching.adapter import CurlAdapter

        if self._transport != "curl":
            return {}
        gevent.sleep(0)
        transfers = CurlAdapter().transport().statistics().transfers
        greenlets = sum(
            1
            for one in gc.get_objects()
            if isinstance(one, gevent.Greenlet) and not one.dead and one is not gevent.getcurrent()
        )
        left = {"in_flight": transfers.in_flight, "sockets": transfers.sockets, "greenlets": greenlets}
        return {name: count for name, count in left.items() if count}


if __name__ == "__main__":
    _main(sys.argv[1])  # type: ignore[arg-type]
