"""`bin/bench NAME [--json FILE] ...`: run one benchmark and print its table. Without a NAME: which there are."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

from benchmarks import leaks, memory, start

BENCHMARKS = {"leaks": leaks, "memory": memory, "start": start}


def main() -> None:
    """Parse the common options, run, print, and write the JSON."""
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, module in BENCHMARKS.items():
        one = names.add_parser(name, help=(module.__doc__ or "").partition("\n")[0], description=module.__doc__)
        one.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
        module.add_options(one)
    arguments = parser.parse_args()
    figures: dict[str, Any] = BENCHMARKS[arguments.name].run(arguments)
    figures["python"] = platform.python_version()
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.stdout.write(BENCHMARKS[arguments.name].table(figures))
    if figures.get("left"):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
