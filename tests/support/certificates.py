"""Certificates of our own, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.needs import require_program


def self_signed(folder: Path, *, names: str = "IP:127.0.0.1", dates: tuple[str, str] | None = None) -> Path:
    """Makes `cert.pem` and `key.pem` in `folder`, and returns it.

    names  as in openssl's subjectAltName
    dates  not before, not after, as YYYYMMDDHHMMSSZ; from now on for two days if None
    """
    openssl = require_program("openssl", how="apt install openssl")
    folder.mkdir(parents=True, exist_ok=True)
    valid = ["-days", "2"] if dates is None else ["-not_before", dates[0], "-not_after", dates[1]]
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *(*valid, "-subj", "/CN=test", "-addext", f"subjectAltName={names}"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    return folder
