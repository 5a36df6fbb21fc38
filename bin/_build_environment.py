"""Builds one environment folder and points `.venv` at it. Run by bin/_environment, never by hand.

The law of this file: whatever happens, `.venv` names a whole environment or what it named before.
- One builder at a time, by a lock that pip inherits: a builder that is killed keeps others out until its
  pip has ended too.
- The folder's state file is written last, so a folder without one is rubbish from a killed builder.
- The link is swapped by rename. Programs run from the folder, not through the link, so those that run keep
  theirs; the one that the link named before, and any that a process still uses, stay on disk.

It needs nothing but the standard library of Python 3.11. Everything it says goes to stderr.
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
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

NO_ENVIRONMENT = 69  # EX_UNAVAILABLE
INTERRUPTED = 130
NEWEST_TESTED = (3, 13)
STATE_FILE = "percore-environment"
TALK_EVERY_S = 5.0
LOCK_FILES = {
    "runtime": ("requirements.lock",),
    "test": ("requirements.lock", "requirements-test.lock"),
}
LOCAL_FILE = "requirements-local.txt"  # what the user's own stages need; not of the repository
CONSTRAINTS_FILE = "constraints.txt"


def say(line: str) -> None:
    print(f"percore: {line}", file=sys.stderr, flush=True)


def refuse(*lines: str) -> NoReturn:
    for line in lines:
        say(line)
    raise SystemExit(NO_ENVIRONMENT)


class Build:
    """One wish: this profile, for this interpreter, on this machine, from the lock files as they are now."""

    def __init__(self, root: Path, profile: str, machine: str, asked: str) -> None:
        self.root = root
        self.profile = profile
        self.locks = {name: (root / name).read_bytes() for name in LOCK_FILES[profile]}
        self.local = (root / LOCAL_FILE).read_bytes() if (root / LOCAL_FILE).exists() else None
        self.base = Path(sys.executable).resolve()
        # What bin/_environment compares, a line each: the machine, the interpreter, the wish in PERCORE_PYTHON.
        self.state = f"{machine}\n{self.base}\n{asked}\n"
        version = ".".join(map(str, sys.version_info[:3]))
        identity = hashlib.sha256(f"{self.base}\n{version}\n{machine}\n".encode())
        for name, content in self.locks.items():
            identity.update(f"{name} {len(content)}\n".encode() + content)
        if self.local is not None:
            identity.update(f"{LOCAL_FILE} {len(self.local)}\n".encode() + self.local)
        self.store = root / ".venvs"
        self.folder = self.store / f"{profile}-{version}-{os.uname().machine}-{identity.hexdigest()[:16]}"
        self.python = self.folder / "bin" / "python"

    def is_whole(self) -> bool:
        return (self.folder / STATE_FILE).is_file() and self.python.exists()

    def make(self, lock_fd: int) -> None:
        """Builds the folder. The state file comes last; on any failure no folder is left."""
        started_s = time.monotonic()
        version = ".".join(map(str, sys.version_info[:3]))
        why = "out of date" if (self.root / ".venv").exists() else "first use"
        say(f"{why}: building the {self.profile} environment with {sys.executable} (Python {version})")
        if sys.version_info[:2] > NEWEST_TESTED:
            say(f"note: newer than Python 3.{NEWEST_TESTED[1]}, the last one that Percore is tested on")
        remove(self.folder)
        try:
            run(
                [sys.executable, "-E", "-s", "-m", "venv", str(self.folder)],
                "create the environment",
                lock_fd,
            )
            for name, content in self.locks.items():
                (self.folder / name).write_bytes(content)
            count = self.install(LOCK_FILES[self.profile][-1], lock_fd)
            if self.local is not None:
                self.install_local(self.local, lock_fd)
            self.put_project_on_path()
        except BaseException:
            remove(self.folder)
            raise
        self.mark_whole()
        say(f"environment ready: {count} packages in {time.monotonic() - started_s:.0f} s")

    def install(self, lock: str, lock_fd: int) -> int:
        """The packages of the lock, which is exhaustive: exact versions, known hashes, nothing compiled here."""
        command = [str(self.python), "-I", "-m", "pip", "install", "--progress-bar", "off"]
        command += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(self.folder / lock)]
        total = len(re.findall(r"^[A-Za-z0-9]", (self.folder / lock).read_text(), re.MULTILINE))
        say(f"installing {total} packages from {lock}")
        run(command, f"install what {lock} lists", lock_fd, total=total)
        return total

    def install_local(self, content: bytes, lock_fd: int) -> None:
        """What the user has listed, in pip's own format, beside the locked packages and never in place of one."""
        (self.folder / LOCAL_FILE).write_bytes(content)
        locked = (self.folder / LOCK_FILES[self.profile][-1]).read_text()
        pins = re.findall(r"^[A-Za-z0-9][^\s;\\]*==[^\s;\\]+(?:[ \t]*;[^\\\n]*)?", locked, re.MULTILINE)
        (self.folder / CONSTRAINTS_FILE).write_text("\n".join(pins) + "\n")
        command = [str(self.python), "-I", "-m", "pip", "install", "--progress-bar", "off"]
        command += ["--constraint", str(self.folder / CONSTRAINTS_FILE), "-r", str(self.folder / LOCAL_FILE)]
        say(f"installing what {LOCAL_FILE} lists")
        # From the checkout: a path in the list is seen from where the list lies.
        run(command, f"install what {LOCAL_FILE} lists", lock_fd, cwd=self.root)

    def put_project_on_path(self) -> None:
        """By a path seen from the folder, so that the checkout may be moved or copied as a whole.

        The folder itself is asked for, not the link that a Python may have been started through: from
        `.venv/bin/python` the same steps up would lead elsewhere.
        """
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        site_packages = self.folder / "lib" / version / "site-packages"
        up = os.path.relpath(self.root, self.folder)
        line = f"import os, sys; sys.path.append(os.path.normpath(os.path.join(os.path.realpath(sys.prefix), {up!r})))"
        (site_packages / "percore-checkout.pth").write_text(line + "\n", encoding="utf-8")

    def mark_whole(self) -> None:
        draft = self.folder / (STATE_FILE + ".draft")
        draft.write_text(self.state, encoding="utf-8", errors="surrogateescape")
        draft.replace(self.folder / STATE_FILE)

    def take_over(self) -> None:
        """Points `.venv` at this folder in one step, then removes what nobody needs any more."""
        link = self.root / ".venv"
        if link.exists() and not link.is_symlink():
            refuse(f"{link} is not one of Percore's environments: move it away, then try again.")
        previous = link.resolve() if link.is_symlink() else None
        draft = self.store / "link.draft"
        draft.unlink(missing_ok=True)
        draft.symlink_to(os.path.join(self.store.name, self.folder.name))
        draft.replace(link)
        for other in self.store.iterdir():
            if other.is_dir() and other not in (self.folder, previous) and not is_in_use(other):
                remove(other)


def remove(folder: Path) -> None:
    """Removes an environment; its state file first, so that half of one never counts as whole."""
    (folder / STATE_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def is_in_use(folder: Path) -> bool:
    """Whether a process that we may look at runs from this folder or has a library of it mapped."""
    needle = os.fsencode(f"{folder}/")
    for name in ("cmdline", "maps"):
        for path in Path("/proc").glob(f"[0-9]*/{name}"):
            try:
                if needle in path.read_bytes():
                    return True
            except OSError:
                continue  # gone, or another user's
    return False


def run(command: list[str], purpose: str, lock_fd: int, total: int = 0, cwd: Path | None = None) -> None:
    """Runs a step; tells how far pip is now and then, and when it fails, what it said last.

    The step inherits the build lock: it stays taken until the step ends, even if we are killed.
    """
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USER": "0"}
    for name in ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_QUIET"):
        environment.pop(name, None)
    lines: list[str] = []
    collected = 0
    spoke_s = time.monotonic()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        cwd=cwd,
        env=environment,
        pass_fds=(lock_fd,),
        encoding="utf-8",
        errors="replace",
    ) as step:
        try:
            assert step.stdout is not None
            for line in step.stdout:
                lines.append(line.rstrip())
                if line.startswith("Collecting "):
                    collected += 1
                if total and time.monotonic() - spoke_s > TALK_EVERY_S:
                    spoke_s = time.monotonic()
                    say(f"  {collected} of {total} fetched")
        except BaseException:
            step.terminate()
            raise
    if step.returncode:
        spoken = [line for line in lines if line and not line.startswith(("WARNING:", "[notice]"))]
        for line in spoken[-8:]:
            print(f"  {line}", file=sys.stderr)
        refuse(f"could not {purpose} (see above); nothing was changed. Try again once that is mended.")


@contextmanager
def build_lock(store: Path) -> Iterator[int]:
    """The right to build in this checkout, and its descriptor. Waits for whoever has it, and says so."""
    store.mkdir(exist_ok=True)
    lock_fd = os.open(store / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another command is building the environment; waiting for it")
            fcntl.flock(lock_fd, fcntl.LOCK_EX)
        yield lock_fd
    finally:
        os.close(lock_fd)


def main(arguments: list[str]) -> int:
    root, profile, machine, asked = arguments
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with build_lock(Path(root) / ".venvs") as lock_fd:
            # The wish is read under the lock: whoever built before us may have built just this.
            build = Build(Path(root), profile, machine, asked)
            if not build.is_whole():
                build.make(lock_fd)
            else:
                build.mark_whole()  # the same environment, perhaps asked for under another name
            build.take_over()
    except KeyboardInterrupt:
        say("interrupted; nothing was changed")
        return INTERRUPTED
    except OSError as error:
        refuse(f"cannot build the environment in {root}: {error.strerror}: {error.filename}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
