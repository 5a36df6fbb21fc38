"""`fetch-batch`: the command line of the offline batch: options in, a supervised run, an exit status out.

Exit: 0 done, 1 done with failed records, 2 usage, 3 the machine refused (a full disk), 130 interrupted.
"""

from __future__ import annotations

import math
import os
import shlex
import stat
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import click
import msgspec

from app.errors import PercoreError, SettingsError, UsageError
from app.model.job import BodyForm, FetchOptions
from app.policy.advice import added_up, advise
from app.policy.cpu_list import format_cpus
from app.policy.sharding import cut
from app.settings import Settings, variable_of
from app.sinks.jsonl import count_kinds
from app.sources.entry import is_entry
from app.sources.source import Format, Source, format_of
from workers.affinity import core_order, should_pin, worker_count
from workers.feed import Feed
from workers.messages import Begin
from workers.progress import Mode, Progress
from workers.supervisor import Supervisor
from workers.tally import Tally
from workers.topology import read_topology
from workers.work_folder import Manifest, WorkFolder, shard_path

EXIT_FAILURES = 1
EXIT_USAGE = 2
EXIT_FAULT = 3
EXIT_INTERRUPTED = 130

# A short list is cut into this many shards all the same, so that every core gets some of it. The number must not
# depend on the machine or on --workers: a resumed run has to cut the same way.
_SHARDS_AT_LEAST = 32


class _Setting(click.ParamType[Any]):
    """An option that overrides one of app.settings, and is held to the same range."""

    def __init__(self, variable: str) -> None:
        self.name = variable.lower()
        self._variable = variable

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return getattr(Settings.from_env({self._variable: value}), str(param.name if param else ""))
        except SettingsError as error:
            return self.fail(str(error).partition("=")[2], param, ctx)


def _setting(flag: str, field: str, metavar: str, text: str) -> Callable[[Any], Any]:
    default = getattr(_DEFAULTS, field)
    shown = f"{default:g}" if isinstance(default, float) else default
    return click.option(
        flag, field, type=_Setting(variable_of(field)), metavar=metavar, help=f"{text}  [default: {shown}]"
    )


def _list_stages(context: click.Context, option: click.Parameter, is_given: bool) -> None:
    if not is_given or context.resilient_parsing:
        return
    # Only now: the parent of a batch has no use for them, and starts in half the time without.
    from app.stages.registry import names, resolve

    for name in names():
        try:
            (found,) = resolve([name])
            click.echo(f"{name:12} {found.runs_in:8} {found.summary}")
        except UsageError as error:
            click.echo(f"{name:12} {error}", err=True)
    context.exit()


_DEFAULTS = Settings()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("input_name", metavar="INPUT")
@click.option(
    "-o", "--output", required=True, metavar="OUT", help="A .jsonl file, or with a trailing / a folder of shards."
)
@click.option(
    "--format", "input_format", type=click.Choice(["txt", "jsonl", "csv"]), help="Of INPUT; else told by its name."
)
@click.option("--url-column", default="url", show_default=True, help="The column of a .csv that holds the URL.")
@click.option(
    "--stage", "stages", multiple=True, metavar="NAME[=ARG]|module:function", help="Run on each page; repeatable."
)
@click.option(
    "--list-stages",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_stages,
    help="Name them, and leave.",
)
@_setting("--workers", "workers", "auto|N", "Child processes; auto is one per usable core.")
@_setting("--pin", "pin", "auto|on|off", "Pin each child to its core; auto unless a CPU quota is in force.")
@_setting("--concurrency", "concurrency", "N", "Fetches in flight per worker.")
@_setting("--per-origin", "per_origin", "N", "Fetches in flight per worker and origin.")
@_setting("--delay", "delay_s", "S", "Between the beginnings of two fetches of one origin.")
@_setting("--robots", "robots", "obey|ignore", "Fetch only what each origin's robots.txt allows.")
@_setting("--retries", "retries", "N", "Tries after the first.")
@_setting("--timeout", "timeout_s", "S", "Deadline of one whole fetch, retries included.")
@_setting("--max-body", "max_body_bytes", "BYTES", "A larger body fails the fetch.")
@_setting("--max-redirects", "max_redirects", "N", "Redirects followed per fetch.")
@_setting("--drain-timeout", "drain_timeout_s", "S", "How long ctrl-C lets fetches in flight go on.")
@click.option(
    "--body", type=click.Choice(["none", "text", "base64"]), default="none", help="Put the body into the record."
)
@click.option("--timing", is_flag=True, help="Put into the record where the time of the fetch went.")
@click.option("--header", "headers", multiple=True, metavar="K:V", help="Sent with every request; repeatable.")
@click.option(
    "--shard-size", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Lines per shard, at most."
)
@click.option(
    "--progress", type=click.Choice(["auto", "none", "json"]), default="auto", help="What standard error shows."
)
@click.option("--deny-private", is_flag=True, help="Contact public addresses only, and those of PERCORE_ALLOW_PRIVATE.")
@click.option("--fresh", is_flag=True, help="Throw away an earlier output, and an unfinished run's work.")
def command(
    input_name: str,
    output: str,
    input_format: Format | None,
    url_column: str,
    stages: Sequence[str],
    body: BodyForm,
    timing: bool,
    headers: Sequence[str],
    shard_size: int,
    progress: Mode,
    fresh: bool,
    deny_private: bool,
    **settings: Any,
) -> int:
    """Fetch every request of INPUT (.txt, .jsonl, .csv, or - for URLs on standard input) and run stages on the
    answers. OUT gets one JSON line for every request, in input order, failures included.

    --list-stages names the stages; module:function is found from the current folder (docs/howto/write-a-stage.md).

    Stopped in whatever way, the same command goes on where it was (but for standard input, which can't be read
    again). Options that have a PERCORE_* variable (PERCORE_CONCURRENCY, ...) take their default from it.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    chosen = msgspec.structs.replace(Settings.from_env(), **given)
    source = Source(input_format or format_of(input_name), url_column)
    topology = read_topology()
    workers = worker_count(topology) if chosen.workers == "auto" else chosen.workers
    stream = _open(input_name)
    if Path(output).exists() and os.path.samestat(os.stat(output), os.fstat(stream.fileno())):
        raise UsageError(f"{output} is the input; give the output another name")
    # Standard input is read once, where it stands, also when a file was redirected to it.
    is_file = input_name != "-" and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    if is_file:
        shard_size = _shorter(shard_size, source, input_name)
    lines = source.lines(stream)
    options = FetchOptions(
        timeout_s=chosen.timeout_s,
        retries=chosen.retries,
        body=body,
        timing=timing,
        headers=_headers(headers),
        robots=chosen.robots,
    )
    # The children share each origin, and what the machine has besides their cores.
    chosen = msgspec.structs.replace(chosen, workers=workers, wide_cpus=format_cpus(topology.allowed))
    begin = Begin(chosen, options, list(stages), source.entry_form, shard_size, "", deny_private)
    folder = WorkFolder(output, _manifest(begin, source, input_name, stream, is_file), fresh=fresh)
    begin = msgspec.structs.replace(begin, folder=str(folder.path))
    feed = Feed(
        cut(lines, shard_size),
        finished=lambda number: count_kinds(shard_path(folder.path, number)),
        is_entry=partial(is_entry, form=source.entry_form),
        ahead=workers + 1,
    )
    shown = Progress(progress, partial(_estimate, feed, stream if is_file else None))
    tally = Tally()
    try:
        supervisor = Supervisor(
            begin,
            feed,
            tally,
            shown,
            workers=workers,
            cores=core_order(topology) if should_pin(chosen.pin, topology) else (),
            wide=topology.allowed,
            drain_limit_s=chosen.drain_timeout_s,
        )
        is_finished = supervisor.run()
        if is_finished:
            folder.assemble(feed.shards_seen)
    except UsageError:
        folder.discard_if_new()
        raise
    finally:
        shown.close()
    for line in shown.summary(tally):
        shown.say(line)
    for advice in advise(added_up(supervisor.uses), chosen.slice_ms / 1000):
        shown.say(f"advice: {advice.text}")
    if not is_finished:
        shown.say(_how_to_go_on(is_file, folder))
        return EXIT_INTERRUPTED
    shown.say(f"written to {output}")
    return EXIT_FAILURES if tally.kinds.total() > tally.kinds["ok"] else 0


def _open(input_name: str) -> BinaryIO:
    # Its own buffer over descriptor 0: a thread may be left waiting in it when the process ends, which the
    # interpreter's own standard input would not survive.
    try:
        return open(0 if input_name == "-" else input_name, "rb", closefd=input_name != "-")
    except OSError as error:
        raise UsageError(f"can't read {input_name}: {error.strerror}") from None


def _shorter(shard_size: int, source: Source, input_name: str) -> int:
    """The shard size for a list that may be too short to give every core a shard of the usual size."""
    with _open(input_name) as stream:
        lines = sum(1 for _ in islice(source.lines(stream), shard_size * _SHARDS_AT_LEAST))
    return max(1, min(shard_size, math.ceil(lines / _SHARDS_AT_LEAST)))


def _headers(given: Sequence[str]) -> dict[str, str]:
    headers = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise UsageError(f"--header {header!r}: write it as NAME:VALUE")
        if not header.isascii():
            raise UsageError(f"--header {header!r}: only ASCII can be sent")
        headers[name.strip()] = value.strip()
    return headers


def _manifest(begin: Begin, source: Source, input_name: str, stream: BinaryIO, is_file: bool) -> Manifest:
    status = os.fstat(stream.fileno())
    return Manifest(
        input_name=str(Path(input_name).resolve()) if is_file else input_name,
        input_bytes=status.st_size if is_file else -1,
        input_mtime_ns=status.st_mtime_ns if is_file else -1,
        format=source.format,
        url_column=source.url_column,
        shard_size=begin.shard_size,
        stages=begin.stages,
        options=begin.options,
        max_body_bytes=begin.settings.max_body_bytes,
        max_redirects=begin.settings.max_redirects,
        deny_private=begin.deny_private,
    )


def _estimate(feed: Feed, stream: BinaryIO | None) -> float | None:
    """How many records there will be, judged by how much of the input file has been read."""
    if stream is None or not feed.entries_seen:
        return None
    try:
        return feed.entries_seen * os.fstat(stream.fileno()).st_size / max(1, os.lseek(stream.fileno(), 0, os.SEEK_CUR))
    except (OSError, ValueError):
        return None  # read to its end and closed: the exact number is about to be known


def main() -> NoReturn:
    """Run the command; every mistake in its use is one clear line."""
    try:
        status = command.main(prog_name=_name(), standalone_mode=False)
    except click.exceptions.Exit as exit_:
        status = exit_.exit_code
    except click.ClickException as error:
        status = _complain(error.format_message(), EXIT_USAGE)
    except UsageError as error:
        status = _complain(str(error), EXIT_USAGE)
    except PercoreError as error:
        status = _complain(f"{error}; what was written is whole, and the same command goes on from there", EXIT_FAULT)
    except click.Abort:
        status = EXIT_INTERRUPTED
    sys.exit(status)


def _complain(message: str, status: int) -> int:
    sys.stderr.write(f"{_name()}: {message}\n")
    return status


def _name() -> str:
    return Path(_typed()).name


def _typed() -> str:
    """The command as the user typed it: bin/fetch-batch hands it on, an installed script has it itself."""
    typed = os.environ.get("PERCORE_COMMAND") or sys.argv[0]
    return "fetch-batch" if typed.endswith(".py") else typed


def _how_to_go_on(is_file: bool, folder: WorkFolder) -> str:
    if is_file:
        return f"interrupted; nothing is lost, this goes on: {shlex.join([_typed(), *sys.argv[1:]])}"
    return (
        f"interrupted; standard input can't be read again, so this can't go on. "
        f"What was done lies in {folder.path}/parts and shards; a list in a file can be gone on with"
    )


if __name__ == "__main__":
    main()
