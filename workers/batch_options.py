"""Batch options: the command line of fetch-batch as a value; what each option may be, and what its help says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from app.errors import SettingsError, UsageError
from app.model.caching import CacheOptions
from app.model.job import BodyForm
from app.settings import Settings, variable_of
from app.sources.source import Format
from workers.progress import Mode
from workers.retry_failed import parse_kinds
from workers.selection import Sample, parse_sample


class BatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One command line, checked.

    retry_failed  the error kinds to fetch again; None for an ordinary run
    summary       a file for the machine-readable summary, besides the receipt
    settings      PERCORE_* variables, with the options that were given in their place
    """

    input_names: Sequence[str]
    outputs: Sequence[str]
    input_format: Format | None
    url_column: str
    dedupe: bool
    store_bodies: str | None
    limit: int | None
    sample: str
    seed: int
    stages: Sequence[str]
    body: BodyForm
    timing: bool
    headers: dict[str, str]
    shard_size: int
    progress: Mode
    summary: str | None
    retry_failed: frozenset[str] | None
    dry_run: bool
    deny_private: bool
    fresh: bool
    cache: str | None
    cache_size: int
    settings: Settings

    @property
    def to_sample(self) -> Sample | None:
        """What `sample` says."""
        return parse_sample(self.sample) if self.sample else None

    def cache_options(self, workers: int) -> CacheOptions | None:
        """What `cache` says, for so many workers."""
        if self.cache is None:
            return None
        return CacheOptions(
            folder=str(Path(self.cache).resolve()),
            limit_bytes=self.cache_size,
            writers=workers,
            # What private addresses have answered is not for a run that must not contact them.
            scope=f"public {self.settings.allow_private}" if self.deny_private else "",
            # A failure that is asked for again is not to be found in the cache.
            reuses_errors=self.retry_failed is None,
        )


def is_text(given: str) -> bool:
    """Whether it came as UTF-8: other bytes come as surrogates."""
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True


def options_of(given: dict[str, Any]) -> BatchOptions:
    """The options from what click has parsed. Raises UsageError."""
    names = {name for name in given if name in Settings.__struct_fields__}
    chosen = {name: given.pop(name) for name in names}
    settings = Settings.from_env()
    settings = msgspec.structs.replace(settings, **{k: value for k, value in chosen.items() if value is not None})
    for option, texts in (("--stage", given["stages"]), ("--url-column", [given["url_column"]])):
        for text in texts:
            if not is_text(text):
                raise UsageError(f"{option} {text!r} is not UTF-8")
    given["headers"] = _headers(given["headers"])
    if given["sample"]:
        parse_sample(given["sample"])
    if given["retry_failed"] is not None:
        given["retry_failed"] = parse_kinds(given["retry_failed"])
        if given["fresh"]:
            raise UsageError("--fresh throws away what --retry-failed would go on with; give one of them")
    return BatchOptions(settings=settings, **given)


def batch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: gives a click command all options of fetch-batch."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


class BatchCommand(click.Command):
    """A command whose option --retry-failed may stand alone.

    click would take the next word, which is the input, for its value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click.Command."""
        end = args.index("--") if "--" in args else len(args)
        whole = ["--retry-failed=all" if word == "--retry-failed" else word for word in args[:end]]
        return super().parse_args(ctx, whole + args[end:])


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


def _headers(given: Sequence[str]) -> dict[str, str]:
    """One of each name, whatever its case: the last one, as with any other option that is given again."""
    headers: dict[str, tuple[str, str]] = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise UsageError(f"--header {header!r}: write it as NAME:VALUE")
        if not header.isascii():
            raise UsageError(f"--header {header!r}: only ASCII can be sent")
        headers[name.strip().lower()] = (name.strip(), value.strip())
    return dict(headers.values())


_DEFAULTS = Settings()

_OPTIONS: list[Callable[[Any], Any]] = [
    click.argument("input_names", metavar="INPUT...", nargs=-1, required=True),
    click.option(
        "-o",
        "--output",
        "outputs",
        required=True,
        multiple=True,
        metavar="OUT",
        help=".jsonl (.gz, .zst), .parquet, .warc.gz, or with a trailing / a folder of shards; repeatable.",
    ),
    click.option("--store-bodies", metavar="DIR", help="Keep each body there, in a file named by its SHA-256."),
    click.option(
        "--format", "input_format", type=click.Choice(get_args(Format)), help="Of all INPUTs; else told by their names."
    ),
    click.option(
        "--url-column", default="url", show_default=True, help="The column that holds the URL, where there are columns."
    ),
    click.option("--dedupe", is_flag=True, help="Fetch each request once, however often it is listed."),
    click.option("--limit", type=click.IntRange(1), metavar="N", help="Read the first N lines only."),
    click.option("--sample", default="", metavar="SHARE|N", help="Fetch some by chance: 0.01 or 1%, or 500 of them."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of --sample's chance."),
    click.option(
        "--stage", "stages", multiple=True, metavar="NAME[=ARG]|module:function", help="Run on each page; repeatable."
    ),
    click.option(
        "--list-stages",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_list_stages,
        help="Name them, and leave.",
    ),
    _setting("--workers", "workers", "auto|N", "Child processes; auto is one per usable core."),
    _setting("--pin", "pin", "auto|on|off", "Pin each child to its core; auto unless a CPU quota is in force."),
    _setting("--concurrency", "concurrency", "N", "Fetches in flight per worker."),
    _setting("--per-origin", "per_origin", "N", "Fetches in flight per worker and origin."),
    _setting("--delay", "delay_s", "S", "Between the beginnings of two fetches of one origin."),
    _setting("--robots", "robots", "obey|ignore", "Fetch only what each origin's robots.txt allows."),
    _setting("--retries", "retries", "N", "Tries after the first."),
    _setting("--timeout", "timeout_s", "S", "Deadline of one whole fetch, retries included."),
    _setting("--max-body", "max_body_bytes", "BYTES", "A larger body fails the fetch."),
    _setting("--max-redirects", "max_redirects", "N", "Redirects followed per fetch."),
    _setting("--drain-timeout", "drain_timeout_s", "S", "How long ctrl-C lets fetches in flight go on."),
    click.option(
        "--body", type=click.Choice(["none", "text", "base64"]), default="none", help="Put the body into the record."
    ),
    click.option("--timing", is_flag=True, help="Put into the record where the time of the fetch went."),
    click.option("--header", "headers", multiple=True, metavar="K:V", help="Sent with every request; repeatable."),
    click.option(
        "--cache", metavar="DIR", help="Keep answers there, and take them from there as long as HTTP's rules allow."
    ),
    click.option(
        "--cache-size",
        type=click.IntRange(1_000_000),
        default=1_000_000_000,
        show_default=True,
        metavar="BYTES",
        help="Of --cache: what was not used for longest makes room.",
    ),
    click.option(
        "--shard-size",
        type=click.IntRange(1, 100_000),
        default=1000,
        show_default=True,
        help="Lines per shard, at most.",
    ),
    click.option(
        "--progress", type=click.Choice(["auto", "none", "json"]), default="auto", help="What standard error shows."
    ),
    click.option("--summary", metavar="FILE", help="Write a summary there, as JSON, however the run ends."),
    click.option(
        "--deny-private", is_flag=True, help="Contact public addresses only, and those of PERCORE_ALLOW_PRIVATE."
    ),
    click.option(
        "--retry-failed",
        default=None,
        metavar="[=KIND,...]",
        help="Fetch what failed (in these ways) again, of a finished or an unfinished run.",
    ),
    click.option("--dry-run", is_flag=True, help="Say what is in INPUT, and fetch nothing."),
    click.option("--fresh", is_flag=True, help="Throw away an earlier output, and an unfinished run's work."),
]
