"""The peers' own Python environment, from their own lock: benchmarks/.build/peers-<version>-<hash of the lock>/.

They are never installed beside Percore: neither may decide the other's versions. The lock is written anew with

    uv pip compile --universal --python-version 3.11 --generate-hashes \\
      --custom-compile-command 'benchmarks/common/peers_environment.py says how' \\
      -o benchmarks/peers/requirements.lock benchmarks/peers/requirements.in

The interpreter is the one that runs Percore.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from pathlib import Path

from benchmarks.common import building

_LOCK = building.ROOT / "benchmarks" / "peers" / "requirements.lock"
_MARK = "whole"  # written last: a folder without it is what a killed build left


def peers_python() -> Path:
    """Their interpreter; builds the environment on first use (needs a package index, or a mirror set for pip)."""
    base = Path(sys.executable).resolve()
    identity = hashlib.sha256(_LOCK.read_bytes() + str(base).encode()).hexdigest()[:16]
    folder = building.FOLDER / f"peers-{platform.python_version()}-{platform.machine()}-{identity}"

    def build() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        python = folder / "bin" / "python"
        building.run("make the peers' environment", [base, "-E", "-s", "-m", "venv", folder])
        pip = [str(python), "-I", "-m", "pip", "install", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
        building.run(f"install the peers into {folder}", [*pip, "-r", _LOCK])
        (folder / _MARK).touch()

    return building.built(folder / _MARK, build).parent / "bin" / "python"
