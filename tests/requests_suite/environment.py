"""The environment that requests' tests run in, and those tests themselves: made at first use, kept, checked by hash.

Both lie in `.suites/` in the checkout, which git ignores. A mark beside a folder says that it was begun, until it is
whole: what a killed builder left is made anew. One builder at a time, by a file lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import needs
from tests.support.processes import ROOT

STORE = ROOT / ".suites"
LOCK = Path(__file__).with_name("requirements.lock")
_PIP_GUARD_S = 250.0


def suite_python() -> Path:
    """The interpreter of the environment. Skips or fails the test where it can't be had."""
    identity = hashlib.sha256(f"{sys.version}\n{os.path.realpath(sys.executable)}\n".encode() + LOCK.read_bytes())

    def make(folder: Path) -> None:
        _run([sys.executable, "-E", "-s", "-m", "venv", "--without-pip", folder])
        # Our own pip, since the environment shall hold nothing but what its lock lists.
        command = [*_PIP, "--python", folder / "bin" / "python", "install", "--require-hashes", "--no-deps"]
        _run([*command, "--only-binary", ":all:", "-r", LOCK])

    return _kept(f"environment-{identity.hexdigest()[:16]}", make) / "bin" / "python"


def requests_source() -> Path:
    """The unpacked source distribution of the locked requests, its tests included. Skips or fails as `suite_python`."""
    pin = locked_requirement("requests", (ROOT / "requirements.lock").read_text())
    version = pin.partition("==")[2].split()[0]

    def make(folder: Path) -> None:
        folder.mkdir()
        with tempfile.TemporaryDirectory() as download:
            # pip takes hashes from a file only. It compares them before it opens anything.
            Path(download, "pin.txt").write_text(pin)
            # Isolation would fetch what builds it; nothing is built, and setuptools is here.
            command = [*_PIP, "download", "--require-hashes", "--no-deps", "--no-binary", ":all:"]
            _run([*command, "--no-build-isolation", "--dest", download, "-r", Path(download, "pin.txt")])
            (archive,) = Path(download).glob("requests-*.tar.gz")
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")

    return _kept(f"requests-{version}", make) / f"requests-{version}"


def locked_requirement(name: str, lock: str) -> str:
    """A package's lines in the text of a lock file: `name==version \\` and its hashes."""
    found = re.search(rf"^{re.escape(name)}==.*(?:\n    --hash=.*)+", lock, re.MULTILINE)
    assert found is not None, f"{name} is not in the lock"
    return found[0].rstrip("\\ \n") + "\n"


_PIP = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]


def _run(command: list[str | Path]) -> None:
    """Raises OSError with what the command said last."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as step:
        try:
            out, err = step.communicate(timeout=_PIP_GUARD_S)
        except BaseException:
            # With --python pip is two processes, of which the second would go on writing to what is removed now.
            os.killpg(step.pid, signal.SIGKILL)
            raise
    if step.returncode:
        said = (err or out).strip().splitlines()
        raise OSError(said[-1] if said else f"{command[0]} failed with {step.returncode}")


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name in the store, made if it is not there."""
    STORE.mkdir(exist_ok=True)
    folder = STORE / name
    with _locked():
        if not folder.exists():
            # In place, since an environment can't be moved.
            mark = STORE / f"{name}.begun"
            mark.touch()
            try:
                make(folder)
            except (OSError, subprocess.TimeoutExpired) as error:
                shutil.rmtree(folder, ignore_errors=True)
                needs.require(False, f"what requests' own tests need ({error})", how="a package index for pip")
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            mark.unlink()
    return folder


@contextmanager
def _locked() -> Iterator[None]:
    with open(STORE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for mark in STORE.glob("*.begun"):
            # Whoever began it was killed.
            shutil.rmtree(mark.with_suffix(""), ignore_errors=True)
            mark.unlink()
        yield
