"""Certificates for tests, made by openssl while they run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.needs import require_program


def self_signed(folder: Path, names: str = "IP:127.0.0.1") -> tuple[Path, Path]:
    """A certificate for `names` (as in subjectAltName) that vouches for itself, and its key: two PEM files."""
    openssl = require_program("openssl", how="apt install openssl")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={names}"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
