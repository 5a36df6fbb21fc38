"""A small disk of a test's own: a tmpfs in a mount namespace that nobody else is in. It fills up, and can't be written.

Commands get in by `Disk.enter`; the test itself looks at its files from outside.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.needs import require, require_program
from tests.support.processes import Running, running_process

_BALLAST = "ballast"
_BLOCK = bytes(4096)


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk, mounted. Fill it while others write to it as you like.

    path     where it is for those inside
    outside  the same folder as the test sees it
    enter    the beginning of a command that is run inside
    """

    path: Path
    outside: Path
    enter: tuple[str, ...]

    def fill(self) -> None:
        """Leave no block free."""
        with open(self.outside / _BALLAST, "ab", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(_BLOCK)

    def free(self) -> None:
        """Give back what `fill` took."""
        (self.outside / _BALLAST).unlink(missing_ok=True)

    def set_read_only(self, is_read_only: bool) -> None:
        """Remount it. Raises CalledProcessError while somebody has a file open for writing there."""
        option = "remount,ro" if is_read_only else "remount,rw"
        subprocess.run([*self.enter, "mount", "-o", option, str(self.path)], check=True, capture_output=True)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Disk]:
    """Mounted over `folder`, until the `with` ends. Skips the test where the kernel doesn't let us."""
    unshare = require_program("unshare", how="apt install util-linux")
    nsenter = require_program("nsenter", how="apt install util-linux")
    namespaces = ["--mount", "--map-root-user"]
    probe = subprocess.run([unshare, *namespaces, "true"], capture_output=True, check=False)
    require(probe.returncode == 0, "mount namespaces", how="run as root, or allow user namespaces")
    script = f'mount -t tmpfs -o size={size_bytes} tmpfs "$0" && echo mounted && exec sleep infinity'
    with running_process([unshare, *namespaces, "sh", "-c", script, folder], term_grace_s=0) as holder:
        holder.wait_for_line("mounted", stream="stdout")
        yield Disk(folder, _seen_from_outside(holder, folder), _entering(nsenter, holder))


def _entering(nsenter: str, holder: Running) -> tuple[str, ...]:
    return (
        nsenter,
        f"--target={holder.pid}",
        "--user",
        "--mount",
        "--preserve-credentials",
        f"--wd={os.getcwd()}",
        "--",
    )


def _seen_from_outside(holder: Running, folder: Path) -> Path:
    return Path(f"/proc/{holder.pid}/root") / folder.resolve().relative_to("/")
