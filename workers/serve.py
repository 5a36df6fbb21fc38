"""bin/serve: checks the settings and the address, then becomes gunicorn's master.

Law: everything that the operator can mend is found here, before anything is forked, and said in one line.
Exit: 0 stopped on request; 1 the address can't be had now (in use, no permission); 2 a setting or option is wrong;
other codes are gunicorn's (3 a worker can't start, 4 the application can't be imported).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from inspect import cleandoc
from pathlib import Path
from typing import NoReturn

from app.errors import PercoreError, SettingsError
from app.policy.addresses import service_policy
from app.settings import Settings
from workers.listen import AddressTaken, check_free, format_bind, parse_bind, refuse_beyond_loopback

_DEFAULTS = Settings()


def main(argv: list[str] | None = None) -> int:
    """Run the service until it is stopped. Returns the exit code."""
    options = _parser().parse_args(argv)
    for name in ("bind", "workers"):
        if (given := getattr(options, name)) is not None:
            os.environ[f"PERCORE_{name.upper()}"] = given  # gunicorn.conf.py and the workers read it there
    try:
        check_platform(sys.platform)
        settings = Settings.from_env()
        service_policy(settings)  # for its complaint
        address = parse_bind(settings.bind)
        refuse_beyond_loopback(address)
        if not _inherits_its_listener(os.environ):
            check_free(address)
        conf = find_conf(Path(__file__).resolve().parent.parent, Path(sys.prefix))
    except PercoreError as error:
        sys.stderr.write(f"percore: {error}\n")
        return 1 if isinstance(error, AddressTaken) else 2
    os.environ["PERCORE_BIND"] = format_bind(address)
    _run_gunicorn(conf)


def check_platform(platform: str) -> None:
    """Raises SettingsError elsewhere than on Linux."""
    if platform != "linux":
        raise SettingsError(f"Percore runs on Linux only; this is {platform}")


def find_conf(checkout: Path, prefix: Path) -> Path:
    """gunicorn.conf.py: beside the packages in a checkout, else where installation puts it.
    Raises SettingsError when it is in neither place."""
    places = (checkout / "gunicorn.conf.py", prefix / "share" / "percore" / "gunicorn.conf.py")
    for place in places:
        if place.is_file():
            return place
    raise SettingsError(f"gunicorn.conf.py is neither {places[0]} nor {places[1]}; install Percore again")


def _inherits_its_listener(environ: Mapping[str, str]) -> bool:
    """gunicorn's USR2 and systemd's sockets hand a listener in: the address is in use, by ourselves."""
    return "GUNICORN_FD" in environ or "LISTEN_FDS" in environ


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="serve",
        description="Run the service: one worker process per core, until it is stopped.",
        epilog="Settings, from environment variables, with their defaults:\n\n" + _settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bind", metavar="ADDRESS", help="HOST:PORT (loopback only) or unix:PATH; as PERCORE_BIND")
    parser.add_argument("--workers", metavar="auto|N", help="worker processes; as PERCORE_WORKERS")
    return parser


def _settings_help() -> str:
    """The fields' lines of Settings' own docstring, under the variables' names and with the defaults."""
    variables = dict(zip(Settings.__struct_fields__, Settings.__struct_encode_fields__, strict=True))
    lines = []
    for line in cleandoc(Settings.__doc__ or "").splitlines():
        field, _, meaning = line.partition(" ")
        if field in variables and meaning:
            name = f"PERCORE_{variables[field].upper()}"
            lines.append(f"  {name:<24} {meaning.strip()} [{getattr(_DEFAULTS, field)}]")
    return "\n".join(lines)


def _run_gunicorn(conf: Path) -> NoReturn:
    # Only now: gunicorn's modules are of no use to --help or to a wrong setting.
    from workers.master import Master

    # USR2 makes gunicorn start its successor from sys.argv, which lacks the interpreter's own options.
    sys.argv[:] = sys.orig_argv[1:]
    Master(conf).run()
    raise SystemExit(0)


if __name__ == "__main__":
    raise SystemExit(main())
