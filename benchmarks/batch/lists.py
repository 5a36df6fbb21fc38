"""The lists: URLs of an nginx on the origin's core, with the digest that each body has."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.batch.regimes import Kind, Regime
from benchmarks.common.cpus import confined_to
from benchmarks.cpu.pages import Pages, served
from benchmarks.site import SENDING, page_of, serving

_PAGE_BYTES = 4096


class List:
    """`base` is what stands before the number of a URL, where all are one page."""

    def __init__(self, base: str, urls: list[tuple[str, str]]) -> None:
        self.base = base
        self._urls = urls

    def first(self, count: int) -> dict[str, str]:
        """Digests by URL, in order."""
        return dict(self._urls[:count])


@contextmanager
def listed(regime: Regime, count: int, pages: Pages | None, cpu: int) -> Iterator[List]:
    """At least `count` URLs, served until the `with` ends. `pages` are those of the regime with CPU stages."""
    if regime.kind is Kind.CORES:
        assert pages is not None
        digests = [hashlib.sha256(pages.file(number).read_bytes()).hexdigest() for number in range(len(pages.paths))]
        with served(pages, cpu) as base:
            numbers = [(number, number % len(digests)) for number in range(count)]
            yield List(base, [(f"{pages.url(page, base)}?n={number}", digests[page]) for number, page in numbers])
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as root:
        body = page_of(_PAGE_BYTES)
        Path(root, "page.html").write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        with ExitStack() as stack:
            with confined_to(cpu):
                port = stack.enter_context(serving(Path(root), lines=SENDING))
            base = f"http://127.0.0.1:{port}/page.html?n="
            yield List(base, [(f"{base}{number}", digest) for number in range(count)])
