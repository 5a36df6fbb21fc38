"""The origin's command line. Its first line on standard output is the port it listens on."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import signal
import sys
from pathlib import Path

from tests.support.origin.registry import all_faults
from tests.support.origin.server import start_server


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.support.origin", description="A misbehaving HTTP server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) lets the kernel choose")
    parser.add_argument("--port-file", type=Path, help="write the port here too, once it listens")
    parser.add_argument("--while-stdin-open", action="store_true", help="end when standard input does")
    parser.add_argument("--list", action="store_true", help="list the faults and stop")
    return parser.parse_args()


def _allow_many_connections() -> None:
    """Raises the soft limit of open files to the hard one: a connection is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _end_with_standard_input() -> None:
    """A test run that was itself killed can't end us; its end of the pipe closes nevertheless."""
    if not os.read(0, 4096):
        os._exit(0)


async def _run(options: argparse.Namespace) -> None:
    server, port = await start_server(options.host, options.port)
    if options.while_stdin_open:
        asyncio.get_running_loop().add_reader(0, _end_with_standard_input)
    if options.port_file:
        partial = options.port_file.with_name(options.port_file.name + ".partial")
        partial.write_text(f"{port}\n")
        partial.replace(options.port_file)  # in one step: a reader never sees half a port
    print(port, flush=True)
    await server.serve_forever()


def main() -> int:
    options = _parse()
    if options.list:
        for fault in all_faults():
            print(f"{fault.usage:34} {fault.summary}")
        return 0
    # It has nothing to save, so a signal ends it at once and without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _allow_many_connections()
    try:
        asyncio.run(_run(options))
    except OSError as error:
        print(f"origin: can't listen on {options.host} port {options.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
