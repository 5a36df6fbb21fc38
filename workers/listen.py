"""Listen: what PERCORE_BIND may say, and whether that address can be had.

`parse_bind`, `format_bind` and `refuse_beyond_loopback` are pure. `check_free` opens and closes a socket.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat

from app.errors import PercoreError, SettingsError

Address = tuple[str, int] | str
"""What gunicorn binds to: (numeric host, port), or the path of a unix socket."""

_UNIX_PATH_BYTES = 107  # sockaddr_un.sun_path, less its closing zero


class AddressTaken(PercoreError):
    """The settings are right, but this address can't be had at this moment."""


def parse_bind(text: str) -> Address:
    """Read "HOST:PORT", "[IPV6]:PORT" or "unix:PATH". HOST is numeric or `localhost`, which stands for 127.0.0.1
    (what a resolver says of a name is no promise). Raises SettingsError."""
    wrong = SettingsError(f"PERCORE_BIND={text!r}: expected HOST:PORT with a numeric host, or unix:PATH")
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path or "\0" in path:
            raise wrong
        return os.path.abspath(path)
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise wrong
    if host == "localhost":
        host = "127.0.0.1"
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise wrong from None
    if bracketed != (address.version == 6):
        raise wrong
    return str(address), int(port)


def format_bind(address: Address) -> str:
    """The text that `parse_bind` reads."""
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refuse_beyond_loopback(address: Address) -> None:
    """Raises SettingsError when other machines could reach `address`: there is no authentication to stop them."""
    if isinstance(address, str):
        return
    host = address[0]
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise SettingsError(
            f"refusing to listen on {host or 'every address'}: anyone who reaches it could fetch through this "
            "machine. Listen on 127.0.0.1 or a unix: socket and put a web server before it (see deploy/nginx.conf)"
        )


def check_free(address: Address) -> None:
    """Try what gunicorn will do, which would retry for seconds or, with a unix socket, push a running service
    from its path. Raises SettingsError (can never work) or AddressTaken (may work later)."""
    if isinstance(address, str):
        _check_free_path(address)
        return
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn does
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            raise AddressTaken(_cannot_listen(address, error)) from None


def _check_free_path(path: str) -> None:
    if len(os.fsencode(path)) > _UNIX_PATH_BYTES:
        raise SettingsError(f"the path of a unix socket has at most {_UNIX_PATH_BYTES} bytes: {path}")
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise SettingsError(f"cannot listen on unix:{path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(f"cannot listen on unix:{path}: no permission to create files in {folder}")
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise SettingsError(f"cannot listen on unix:{path}: a file that is no socket is in the way")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(path)
    # Refused: nobody listens, a leftover that gunicorn removes. Anything else means that someone is there.
    if code != errno.ECONNREFUSED:
        raise AddressTaken(f"cannot listen on unix:{path}: another program listens there")


def _cannot_listen(address: tuple[str, int], error: OSError) -> str:
    why = os.strerror(error.errno) if error.errno else str(error)
    if error.errno == errno.EADDRINUSE:
        why = "another program listens there. Stop it, or choose another port with PERCORE_BIND"
    elif error.errno == errno.EACCES:
        why = "ports below 1024 are for root. Choose another with PERCORE_BIND"
    return f"cannot listen on {format_bind(address)}: {why}"
