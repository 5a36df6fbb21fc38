"""A real site to fetch: the HTML pages of Debian's python3-doc package, some 500 of very different sizes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.support import needs


@dataclass(frozen=True, slots=True)
class SitePage:
    """One page: its file, its URL path (quoted, beginning with a slash), and what `sha256sum` says of the file."""

    file: Path
    path: str
    sha256: str
    length_bytes: int


def doc_folder() -> Path:
    """The site's root, symbolic links resolved. Skips or fails the test when the package isn't installed."""
    return needs.python_docs().resolve()


def doc_pages() -> list[SitePage]:
    """All its pages in the order of their paths, the same in every run. Skips or fails as `doc_folder` does."""
    return pages_of(doc_folder())


def pages_of(root: Path) -> list[SitePage]:
    """The HTML files below any folder, by path."""
    files = sorted(root.rglob("*.html"), key=lambda file: file.relative_to(root).as_posix())
    return [_page(root, file) for file in files]


def _page(root: Path, file: Path) -> SitePage:
    content = file.read_bytes()
    path = "/" + quote(file.relative_to(root).as_posix())
    return SitePage(file, path, hashlib.sha256(content).hexdigest(), len(content))
