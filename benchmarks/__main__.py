"""`bin/bench NAME [--json FILE] ...`: run one benchmark and print its table. Without a NAME: which there are.

Exit: 0 all ran, 1 something in it failed (the table says what), 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
from pathlib import Path
from typing import Any

from benchmarks import cache, fetch, first_fetch, leaks, memory, start, turns
from benchmarks.batch import benchmark as batch
from benchmarks.cpu import benchmark as cpu
from benchmarks.stops import benchmark as stops

BENCHMARKS = {
    "batch": batch,
    "cache": cache,
    "cpu": cpu,
    "fetch": fetch,
    "first-fetch": first_fetch,
    "leaks": leaks,
    "memory": memory,
    "start": start,
    "stops": stops,
    "turns": turns,
}
_INTERRUPTED = 130


def main() -> None:
    """Parse the common options, run, print, and write the JSON."""
    # So that what a benchmark has started is ended then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, module in BENCHMARKS.items():
        one = names.add_parser(name, help=(module.__doc__ or "").partition("\n")[0], description=module.__doc__)
        one.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
        module.add_options(one)
    arguments = parser.parse_args()
    try:
        figures: dict[str, Any] = BENCHMARKS[arguments.name].run(arguments)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    figures["python"] = platform.python_version()
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.stdout.write(BENCHMARKS[arguments.name].table(figures))
    if figures.get("interrupted"):
        sys.exit(_INTERRUPTED)
    if figures.get("failed") or figures.get("left"):
        sys.exit(1)


if __name__ == "__main__":
    main()
