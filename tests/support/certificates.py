"""Certificates of our own, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.needs import require_program


def self_signed(folder: Path, *, names: str = "IP:127.0.0.1", days: int = 2) -> Path:
    """Makes `cert.pem` and `key.pem` in `folder`, and returns it.

    names  as in openssl's subjectAltName
    days   from now on; below zero it has expired
    """
    openssl = require_program("openssl", how="apt install openssl")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "names").write_text(f"subjectAltName={names}\n")
    request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test"]
    for command in (
        [*request, "-keyout", "key.pem", "-out", "request.pem"],
        [
            *("x509", "-req", "-in", "request.pem", "-signkey", "key.pem", "-days", str(days)),
            *("-extfile", "names", "-out", "cert.pem"),
        ],
    ):
        subprocess.run([openssl, *command], cwd=folder, check=True, capture_output=True)
    return folder
