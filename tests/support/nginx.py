"""Debian's real nginx in tests: in the foreground, as any user, with every file of its own in one folder.

A configuration here is what may stand inside `http { }`, with LISTEN where the address goes:

    with running_nginx("server { listen @LISTEN@; location / { return 200 hello; } }", tmp_path) as nginx:
        nginx.url("/")

`serve_folder` is a static site; `deployed_site` makes the project's own deploy/nginx.conf such a configuration.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support import needs
from tests.support.ports import Address, reserved_port
from tests.support.processes import Running, running_process, wait_until

LISTEN = "@LISTEN@"
_SOCKET_PATH_LIMIT_BYTES = 107  # sockaddr_un holds 108 with the closing NUL

_FRAME = """\
daemon off;
{user}
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 8192; }}
http {{
    types {{
        text/html html;
        text/css css;
        text/plain txt;
        text/xml xml;
        application/javascript js;
        application/json json;
        image/png png;
        image/svg+xml svg;
    }}
    default_type application/octet-stream;
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
{site}
}}
"""


class Nginx:
    """A running nginx. `address` is (host, port) or the path of its unix socket."""

    def __init__(self, address: Address, folder: Path, process: Running) -> None:
        self.address = address
        self.folder = folder
        self.process = process

    @property
    def pid(self) -> int:
        """Of the master process."""
        return self.process.pid

    @property
    def base(self) -> str:
        """`http://host:port`; on a unix socket `http://localhost`, for clients that are told the socket apart."""
        return "http://localhost" if isinstance(self.address, Path) else f"http://{self.address[0]}:{self.address[1]}"

    def url(self, path: str) -> str:
        return self.base + path

    def access_log(self) -> list[str]:
        return (self.folder / "access.log").read_text(errors="replace").splitlines()

    def error_log(self) -> str:
        return (self.folder / "error.log").read_text(errors="replace")

    def reload(self) -> None:
        """Tells it to read its configuration (`folder`/nginx.conf) again; doesn't wait for that."""
        self.process.signal(signal.SIGHUP)


@contextlib.contextmanager
def running_nginx(site: str, folder: Path, *, socket: Path | None = None, workers: int = 1) -> Iterator[Nginx]:
    """Runs nginx with that site until the `with` ends.

    site     what stands inside `http { }`, with LISTEN for each address; it holds the braces as they are
    folder   made if missing; its configuration, pid file, logs and temporary files go there
    socket   listen on this unix socket; None for a port of 127.0.0.1 that the kernel chooses

    Skips or fails the test when nginx isn't installed. Raises ValueError for a site without LISTEN or a socket
    path that is too long, ProcessFailed with nginx's own words when it refuses the configuration.
    """
    program = needs.nginx()
    if LISTEN not in site:
        raise ValueError(f"the site doesn't say {LISTEN} anywhere")
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        address: Address
        if socket is not None:
            address = check_socket_path(socket)
            listen = f"unix:{socket}"
        else:
            # Held while nginx runs: between our choice and its bind no other test can take the port.
            address = ("127.0.0.1", stack.enter_context(reserved_port()))
            listen = f"127.0.0.1:{address[1]}"
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _FRAME.format(user=_user_line(), workers=workers, folder=folder, site=site.replace(LISTEN, listen))
        )
        # -e: without it nginx would first try the system's own error log, which only root may write.
        command: list[str | Path] = [program, "-p", folder, "-e", folder / "error.log", "-c", configuration]
        process = stack.enter_context(running_process(command, cwd=folder))
        process.wait_connectable(address)
        # Its sockets take connections before it is complete: a signal that comes earlier than the workers is lost.
        wait_until(lambda: len(process.session()) > workers, "nginx started its workers")
        yield Nginx(address, folder, process)


@contextlib.contextmanager
def serve_folder(root: Path, folder: Path | None = None) -> Iterator[Nginx]:
    """Serves the files below `root`; nginx's own files go to `folder`, or to a temporary one."""
    site = f'server {{ listen {LISTEN} backlog=4096; root "{root.resolve()}"; index index.html; }}'
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nginx-")))
        yield stack.enter_context(running_nginx(site, folder))


def deployed_site(snippet: str, upstream_socket: Path) -> str:
    """The text of deploy/nginx.conf as a site for `running_nginx`, in front of a server on `upstream_socket`.

    Only the addresses are replaced: `listen 80` by LISTEN, `unix:/run/percore/percore.sock` by the socket. A second
    `listen` for IPv6 is taken out. Raises ValueError when the snippet doesn't hold what is to be replaced.
    """
    check_socket_path(upstream_socket)
    outside_comments = r"(?m)^([^#\n]*?)"
    snippet = re.sub(outside_comments + r"\blisten\s+\[::\]:80\b[^;]*;", r"\1", snippet)
    snippet, listens = re.subn(outside_comments + r"\blisten\s+80\b", rf"\1listen {LISTEN}", snippet)
    if listens != 1:
        raise ValueError(f"deploy/nginx.conf has {listens} lines with `listen 80`, not one")
    upstream = outside_comments + r"unix:/run/percore/percore\.sock\b"
    snippet, upstreams = re.subn(upstream, lambda found: f"{found[1]}unix:{upstream_socket}", snippet)
    if upstreams != 1:
        raise ValueError(f"deploy/nginx.conf names unix:/run/percore/percore.sock {upstreams} times, not once")
    return snippet


@contextlib.contextmanager
def socket_folder() -> Iterator[Path]:
    """A temporary folder whose path is short enough for unix sockets; those of pytest often aren't."""
    with tempfile.TemporaryDirectory(prefix="sock-") as folder:
        yield Path(folder)


def check_socket_path(path: Path) -> Path:
    """The path again. Raises ValueError when no unix socket can have it, since a cut path would mislead for hours."""
    if len(os.fsencode(path)) > _SOCKET_PATH_LIMIT_BYTES:
        raise ValueError(f"too long for a unix socket, use socket_folder(): {path}")
    return path


def _user_line() -> str:
    """Root's nginx gives its workers to another user, who couldn't read a test's folder: it is told to stay root."""
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name};"
