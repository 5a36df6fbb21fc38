"""What a test needs from the machine: programs and folders that the lock files cannot bring.

A test that lacks one is skipped, and the end of the run says how to get it; where PERCORE_TEST_REQUIRE=1 is set
(CI) it fails instead, so that nothing is left out unnoticed. Call these in a fixture, in a test, or at a test
module's top level.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

_MARK = "needs "
# Servers live in sbin, which is not on every user's PATH.
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def require_program(*names: str, how: str) -> str:
    """The path of the first of these programs that is there. `how`: a command that installs it."""
    for name in names:
        path = shutil.which(name, path=_SEARCH_PATH)
        if path:
            return path
    _lacking(names[0], how)


def require_folder(pattern: str, how: str) -> Path:
    """The first existing folder, in sorted order, that the glob `pattern` matches. `how`: as above."""
    for path in sorted(glob.glob(pattern)):
        if os.path.isdir(path):
            return Path(path)
    _lacking(pattern, how)


def require(condition: bool, what: str, how: str) -> None:
    """Anything else. `how`: what to do for it."""
    if not condition:
        _lacking(what, how)


def python_docs() -> Path:
    """Debian's HTML pages of Python's documentation: a real site of some 500 pages."""
    return require_folder("/usr/share/doc/python3-doc/html", how="apt install python3-doc")


def nginx() -> str:
    """The path of nginx."""
    return require_program("nginx", how="apt install nginx-light")


def summary_lines(skip_reasons: Iterable[str]) -> list[str]:
    """One line for each thing that was lacking, from all skip reasons of a run (others are left out)."""
    lacking = Counter(
        reason.removeprefix("Skipped: ").removeprefix(_MARK)
        for reason in skip_reasons
        if reason.removeprefix("Skipped: ").startswith(_MARK)
    )
    return [f"{count} skipped for want of {what}" for what, count in sorted(lacking.items())]


def _lacking(what: str, how: str) -> NoReturn:
    reason = f"{_MARK}{what}: {how}"
    if os.environ.get("PERCORE_TEST_REQUIRE") == "1":
        pytest.fail(f"{reason} (PERCORE_TEST_REQUIRE=1 makes this a failure)", pytrace=False)
    pytest.skip(reason, allow_module_level=True)
