"""The origin of the benchmarks: a real nginx on a loopback port, with a folder of pages."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONFIGURATION = """\
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    types {{ text/html html; }}
    keepalive_requests 100000000;
    client_body_temp_path {folder}/a;
    proxy_temp_path {folder}/b;
    fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d;
    scgi_temp_path {folder}/e;
    server {{ listen 127.0.0.1:{port} backlog=4096{options}; root {root}; {lines} }}
}}
"""

SENDING = "sendfile on; open_file_cache max=2000; open_file_cache_valid 1h;"
"""Lines for a site whose files don't change."""


def page_of(body_bytes: int) -> bytes:
    """A page of exactly that size."""
    head, foot = b"<!DOCTYPE html><title>Tides</title><p>", b"</p>"
    words = b"the tide comes in and goes out " * (body_bytes // 31 + 1)
    return head + words[: body_bytes - len(head) - len(foot)] + foot


def nginx() -> str | None:
    """Where it is; Debian keeps it off a user's PATH."""
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@contextmanager
def serving(root: Path, *, options: str = "", lines: str = "") -> Iterator[int]:
    """Serve `root` until the `with` ends; yields the port of 127.0.0.1.

    options  more of the `listen` line ("ssl http2")
    lines    more of the server's configuration

    Raises SystemExit when nginx isn't there or doesn't start.
    """
    program = nginx()
    if program is None:
        raise SystemExit("this benchmark needs nginx: apt install nginx-light")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, socket.socket() as holder:
        # Bound and not listening: nobody else is given the port, and nginx may listen on it.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = int(holder.getsockname()[1])
        folder = Path(name)
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(folder=folder, port=port, options=f" {options}", root=root, user=_user(), lines=lines)
        )
        process = subprocess.Popen([program, "-e", folder / "error.log", "-c", configuration])
        try:
            _await(port, process)
            yield port
        finally:
            process.terminate()
            process.wait()


def _user() -> str:
    # Root's nginx would serve as somebody who can't read a temporary folder.
    return "user root;" if os.geteuid() == 0 else ""


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise SystemExit("nginx did not start")
