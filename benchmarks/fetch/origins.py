"""The origins: each regime's server, on the origin's core, until the regime is done; and the URLs to fetch there.

What a regime promises is held here and not by the clients: the TLS origin does not offer HTTP/2, the HTTP/2 origin
refuses anything else, and the origin of handshakes closes after each answer and resumes no TLS session.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from benchmarks.common.cpus import confined_to
from benchmarks.common.own_origin import own_origin
from benchmarks.fetch.certificates import Certificates, make_certificates
from benchmarks.fetch.regimes import OriginKind, Regime
from benchmarks.site import SENDING, page_of, serving
from benchmarks.slow_hosts import address

_URLS = 1000
_SPARE_FILES = 200  # that a process has open besides its sockets

_TLS_LINES = {
    OriginKind.TLS: "",
    OriginKind.HTTP2: 'if ($server_protocol != "HTTP/2.0") { return 505; }',
    OriginKind.TLS_ONCE: "keepalive_timeout 0; ssl_session_cache off; ssl_session_tickets off;",
}


class Origin(Struct, frozen=True):
    """urls       to fetch
    ca_bundle  "" where there is no TLS
    note       what isn't as the regime says, and why; "" when all is
    """

    urls: tuple[str, ...]
    ca_bundle: str = ""
    note: str = ""


@contextmanager
def origin_of(regime: Regime, cpu: int) -> Iterator[Origin]:
    """Runs it inside the `with`. Raises SystemExit when it doesn't start."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        if regime.origin is OriginKind.SLOW_HOSTS:
            with _slow_hosts(regime, cpu) as origin:
                yield origin
        else:
            with _nginx(regime, cpu, folder) as origin:
                yield origin


@contextmanager
def _nginx(regime: Regime, cpu: int, folder: Path) -> Iterator[Origin]:
    root = folder / "site"
    root.mkdir()
    (root / "page.html").write_bytes(page_of(regime.body_bytes))
    certificates = make_certificates(folder, regime.key) if regime.is_tls else None
    options = "" if certificates is None else "ssl http2" if regime.origin is OriginKind.HTTP2 else "ssl"
    lines = f"{SENDING} {_tls(regime.origin, certificates)}"
    with ExitStack() as stack:
        with confined_to(cpu):
            port = stack.enter_context(serving(root, options=options, lines=lines))
        base = f"{'https' if certificates else 'http'}://127.0.0.1:{port}"
        urls = tuple(f"{base}/page.html?n={number}" for number in range(_URLS))
        yield Origin(urls, str(certificates.bundle) if certificates else "")


def _tls(kind: OriginKind, certificates: Certificates | None) -> str:
    if certificates is None:
        return ""
    return f"ssl_certificate {certificates.certificate}; ssl_certificate_key {certificates.key}; {_TLS_LINES[kind]}"


@contextmanager
def _slow_hosts(regime: Regime, cpu: int) -> Iterator[Origin]:
    hosts, note = _hosts_allowed(regime.concurrency)
    with own_origin("slow_hosts", hosts, regime.body_bytes, cpu=cpu) as port:
        yield Origin(tuple(f"http://{address(number)}:{port}/page.html" for number in range(hosts)), note=note)


def _hosts_allowed(wanted: int) -> tuple[int, str]:
    """As many hosts as our limit of open files allows: the origin has a listener and a connection for each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY or 2 * wanted + _SPARE_FILES <= hard:
        return wanted, ""
    hosts = (hard - _SPARE_FILES) // 2
    return hosts, f"{hosts} hosts instead of {wanted}: this user may open {hard} files (ulimit -Hn)"
