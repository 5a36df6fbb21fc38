"""What the system must have for the chosen clients and regimes: said all at once, with the way to get it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from benchmarks import site
from benchmarks.common.contestant import Home
from benchmarks.fetch.contestants import CONTESTANTS
from benchmarks.fetch.regimes import OriginKind, Regime


def require(regimes: Iterable[Regime]) -> None:
    """Raises SystemExit with a line for every program that is missing."""
    regimes = tuple(regimes)
    clients = {name for regime in regimes for name in regime.clients}
    missing = []
    if site.nginx() is None and any(regime.origin is not OriginKind.SLOW_HOSTS for regime in regimes):
        missing.append("nginx, the origin: apt install nginx-light")
    if not shutil.which("openssl") and any(regime.is_tls for regime in regimes):
        missing.append("openssl, for a certificate: apt install openssl")
    if not shutil.which("wrk") and "wrk" in clients:
        missing.append("wrk, a client (or leave it out with --only): apt install wrk")
    if not shutil.which("go") and any(CONTESTANTS[name].home is Home.GO for name in clients):
        missing.append("go, for a client (or leave it out with --only): apt install golang-go")
    if missing:
        raise SystemExit("\n".join(f"this benchmark needs {line}" for line in missing))
