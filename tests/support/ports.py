"""Ports for tests: one held for a server, one that refuses, one that never answers. All chosen by the kernel."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

Address = tuple[str, int] | Path
"""(host, port), or the path of a unix socket."""


def is_connectable(address: Address) -> bool:
    """True if (host, port) or the unix socket's path takes a connection now."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(address) if isinstance(address, Path) else address)
        except OSError:
            return False
    return True


@contextlib.contextmanager
def reserved_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A port for a server that can't choose one itself. Nobody else gets it until the `with` ends.

    It is bound but doesn't listen. Linux lets a server with SO_REUSEADDR (nginx, gunicorn, asyncio, http.server)
    listen on it nevertheless, and gives it to nobody who asks for just any port.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, 0))
        yield int(holder.getsockname()[1])


@contextlib.contextmanager
def refused_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A port that refuses connections for as long as the `with` lasts: bound, not listening."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as holder:
        holder.bind((host, 0))
        yield int(holder.getsockname()[1])


@contextlib.contextmanager
def unanswered_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A port where connecting neither succeeds nor fails: its queue is full, so the kernel ignores newcomers."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, 0))
        listener.listen(0)
        # A queue of length 0 holds one connection; the second one fills what slack a kernel may have.
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
