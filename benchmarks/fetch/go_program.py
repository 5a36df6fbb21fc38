"""The Go client, built on first use: benchmarks/.build/<program>-<hash of its source and compiler>."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from benchmarks.common import building


def go_program(name: str) -> Path:
    """The program built from benchmarks/clients/NAME/main.go. Nothing is downloaded: it has the standard library."""
    source = building.ROOT / "benchmarks" / "clients" / name / "main.go"
    compiler = subprocess.run(["go", "version"], capture_output=True, check=True).stdout
    identity = hashlib.sha256(source.read_bytes() + compiler).hexdigest()[:16]
    program = building.FOLDER / f"{name}-{identity}"

    def build() -> None:
        draft = program.with_suffix(".draft")
        cache = {"GOCACHE": str(building.FOLDER / "go-cache"), "GOPATH": str(building.FOLDER / "go-path")}
        offline = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "", "CGO_ENABLED": "0"}
        command = ["go", "build", "-o", str(draft), str(source)]
        building.run(f"build the Go client {name}", command, {**os.environ, **cache, **offline})
        draft.replace(program)

    return building.built(program, build)
