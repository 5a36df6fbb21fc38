"""A CA of our own, a server certificate for 127.0.0.1 signed by it, and a CA bundle of the usual size that holds it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import certifi
from msgspec import Struct

from benchmarks.fetch.regimes import KeyKind

# All extensions that a strict verifier asks for (RFC 5280 section 4.2; Python 3.13 is one), and nothing from the
# system's own configuration.
_CONFIGURATION = """\
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""

_NEW_KEY = {
    KeyKind.ECDSA: ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
    KeyKind.RSA: ("-newkey", "rsa:2048", "-nodes"),
}


class Certificates(Struct, frozen=True):
    """Paths. `bundle` is certifi's and our CA's certificate after it."""

    certificate: Path
    key: Path
    bundle: Path


def make_certificates(folder: Path, kind: KeyKind) -> Certificates:
    """Into `folder`, valid for two days; CA and server have keys of that kind."""
    configuration = folder / "openssl.cnf"
    configuration.write_text(_CONFIGURATION)
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    certificate, key, wish = folder / "server.pem", folder / "server.key", folder / "server.csr"
    request = ["req", "-config", str(configuration), *_NEW_KEY[kind]]
    own = ["-x509", "-extensions", "ca", "-days", "2", "-subj", "/CN=Percore benchmark CA"]
    _openssl(*request, *own, "-keyout", ca_key, "-out", ca)
    _openssl(*request, "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", wish)
    signer = ["-CA", str(ca), "-CAkey", str(ca_key), "-set_serial", "2", "-days", "2"]
    extensions = ["-extfile", str(configuration), "-extensions", "server"]
    _openssl("x509", "-req", "-in", wish, *signer, *extensions, "-out", certificate)
    bundle = folder / "bundle.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + ca.read_bytes())
    return Certificates(certificate, key, bundle)


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise SystemExit(f"openssl {arguments[0]}: {done.stderr.strip()}")
