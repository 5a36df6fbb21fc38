"""Sources of stages: what was imported for the stages of this process, as it was then: see app.files.sources.

Files count that lie in the folder of a stage's module, or of its package, at whatever depth: modules that one keeps
beside it. What is installed, what comes with Python, and Percore itself do not: those have versions.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from app.files.sources import digest_of, edited, now, package_of

_ROOT = Path(__file__).parents[2]
_OWN = (f"{_ROOT}/app/", f"{_ROOT}/workers/")

# In another environment than this process's own, too.
_INSTALLED = ("/site-packages/", "/dist-packages/")


class Loaded:
    """What the stages of this process are made of. Mutable; for one thread."""

    def __init__(self) -> None:
        self._folders: set[str] = set()
        self._sources: dict[str, str] = {}
        self._packed: bytes | None = None
        self._seen = 0  # modules there were at the last look

    @property
    def sources(self) -> Mapping[str, str]:
        """By key, what each was when it was first seen here."""
        return self._sources

    @property
    def packed(self) -> bytes:
        """`sources` for `Sameness` in another process: with every page, so it is packed once."""
        if self._packed is None:
            self._packed = msgspec.msgpack.encode(self._sources)
        return self._packed

    def note(self, module: str, registered: str = "") -> None:
        """A stage was loaded, just now, from that module. registered: the name that a package has for it."""
        self._folders |= _folders_of(module)
        if registered and (package := package_of(registered)):
            self._sources.setdefault(registered, package)
        self._look()

    def look_again(self) -> Mapping[str, str]:
        """`sources`, with what was imported since. To be called now and then: a stage may import when it is run."""
        if len(sys.modules) != self._seen:
            self._look()
        return self._sources

    def _look(self) -> None:
        self._seen = len(sys.modules)
        for path in _imported(tuple(self._folders)):
            if path not in self._sources and (digest := digest_of(path)):
                self._sources[path] = digest
        self._packed = None


class Sameness:
    """Whether this process is at the same sources as another one. Mutable; for one thread."""

    def __init__(self) -> None:
        self._looked: tuple[int, bytes] | None = None
        self._same: set[str] = set()

    def edited(self, packed: bytes) -> str | None:
        """The first of another's sources that is another one here: a package, or a file that was imported here, too.

        Each is looked at once, when it is here: so soon after it was imported.
        """
        looked = len(sys.modules), packed
        if looked == self._looked:
            return None
        sources = msgspec.msgpack.decode(packed, type=dict[str, str])
        here = {path for path in _imported(("/",)) if path in sources}
        keys = [key for key in sources if key not in self._same and (key in here or not key.startswith("/"))]
        if (other := edited(sources, now(keys))) is None:
            self._same.update(keys)
            self._looked = looked
        return other


LOADED = Loaded()
"""Of this process."""


def shared_folders() -> tuple[str, ...]:
    """Where what is installed lies, and what comes with Python; each ends with a slash."""
    paths = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple({f"{path}/" for path in paths})


def _folders_of(module: str) -> set[str]:
    """Where its first package lies, or itself; each ends with a slash."""
    first = sys.modules.get(module.partition(".")[0])
    file = getattr(first, "__file__", None)
    # A namespace package has no file, and may lie in several folders.
    paths = list(getattr(first, "__path__", None) or ([file] if file else []))
    return {f"{os.path.dirname(os.path.abspath(path)).rstrip('/')}/" for path in paths}


def _imported(folders: tuple[str, ...]) -> Iterator[str]:
    """The files in these folders that modules were imported from."""
    others = (*shared_folders(), *_OWN)
    # Not by `getattr(module, "__file__")`: some modules import others when they are asked for what they have not.
    files = [getattr(module, "__dict__", {}).get("__file__") for module in list(sys.modules.values())]
    for file in files:
        if not isinstance(file, str):
            continue
        path = os.path.abspath(file)
        is_ours = path.startswith(folders) and not path.startswith(others)
        # What is no text can't be told to others.
        if is_ours and not any(part in path for part in _INSTALLED) and path == path.encode(errors="replace").decode():
            yield path
