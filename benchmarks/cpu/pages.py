"""The pages: those of Debian's python3-doc, or any folder of HTML, and the origin that serves them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from benchmarks.common.cpus import confined_to
from benchmarks.cpu.work import score
from benchmarks.site import SENDING, serving

_DEBIAN = "/usr/share/doc"

_SAMPLE = 40  # pages
_SAMPLE_UNITS = 160
_TRIALS = 3


class Pages(Struct, frozen=True):
    """root   the folder
    paths  of its pages, below it, in order
    sizes  of each in bytes
    """

    root: Path
    paths: tuple[Path, ...]
    sizes: tuple[int, ...]

    def url(self, number: int, base: str) -> str:
        return f"{base}/{quote(str(self.paths[number]))}"

    def file(self, number: int) -> Path:
        return self.root / self.paths[number]


def find_pages(root: Path | None) -> Pages:
    """All *.html below `root`; None: where Debian's python3-doc has them. Raises SystemExit when there are none."""
    if root is None:
        # Each of the interpreter's packages names the same folder once more, by a link.
        folders = sorted({folder.resolve() for folder in Path(_DEBIAN).glob("python3*/html")})
        if not folders:
            raise SystemExit(
                "this benchmark needs the pages of Python's manual: apt install python3-doc (or --pages FOLDER)"
            )
        root = folders[-1]
    paths = tuple(sorted(path.relative_to(root) for path in root.rglob("*.html") if path.stat().st_size))
    if not paths:
        raise SystemExit(f"no *.html below {root}")
    return Pages(root, paths, tuple((root / path).stat().st_size for path in paths))


@contextmanager
def served(pages: Pages, cpu: int) -> Iterator[str]:
    """Serve them by an nginx on that CPU until the `with` ends; yields the base URL. Raises SystemExit."""
    with ExitStack() as stack:
        with confined_to(cpu):
            port = stack.enter_context(serving(pages.root, lines=SENDING))
        yield f"http://127.0.0.1:{port}"


def unit_s(pages: Pages, cpu: int) -> float:
    """CPU time of a unit of work on that CPU, over a sample of the pages: the least of some trials, since what
    disturbs one only adds to it. Takes about a second.
    """
    step = max(1, len(pages.paths) // _SAMPLE)
    bodies = [pages.file(number).read_bytes() for number in range(0, len(pages.paths), step)]
    with confined_to(cpu):
        return min(_trial(bodies) for _ in range(_TRIALS))


def _trial(bodies: Sequence[bytes]) -> float:
    took_s = []
    for body in bodies:
        began_s = time.thread_time()
        score(body, _SAMPLE_UNITS)
        took_s.append((time.thread_time() - began_s) / _SAMPLE_UNITS)
    return statistics.fmean(took_s)
