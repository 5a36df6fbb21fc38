"""Settings: every PERCORE_* variable, read once, checked once, frozen.

Nothing else in Percore reads the environment for its behaviour; what is wired from these values is
decided in `app.assembly` and `gunicorn.conf.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.errors import SettingsError

_PREFIX = "PERCORE_"

# What msgspec calls an "enum value", or shows as a pattern, in words.
_WORDS = {
    "workers": "`auto` or a number",
    "pin": "`auto`, `on` or `off`",
    "native_threads": "`auto` or a number",
    "stage_processes": "`auto` or a number",
    "transport": "`curl` or `requests`",
    "http": "`1.1`, `2` or `3`",
    "adapt": "`on` or `off`",
    "robots": "`obey` or `ignore`",
    "tls_groups": "a list of groups as OpenSSL reads it, such as `X25519:P-256`, or `auto`",
    "log_level": "`debug`, `info`, `warning` or `error`",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename={"max_body_bytes": "max_body"}):
    """What the operator can set. Field `pin` is read from PERCORE_PIN, and so on;
    `max_body_bytes` from PERCORE_MAX_BODY.

    bind             where the service listens: HOST:PORT (loopback only) or unix:PATH
    workers          processes, "auto" is one per usable core
    pin              "on" pins each worker to its core, "auto" does so unless a cgroup quota is below the mask
    concurrency      fetches in flight per worker
    per_origin       fetches in flight per worker and origin
    delay_s          between the beginnings of two fetches of one origin
    robots           whether each origin's robots.txt is asked for leave
    max_crawl_delay_s    what a robots.txt may raise the delay to
    max_retry_after_s    for how long one Retry-After may keep all fetches from its origin
    adapt            "on" halves the fetches in flight to an origin that says it has too many
    breaker_failures     in a row after which an origin is left alone; 0 never does
    breaker_cool_down_s  for how long at first
    retries          tries after the first
    timeout_s        deadline of one whole fetch, redirects and retries included
    max_body_bytes   decoded body; a larger one fails the fetch
    max_redirects    followed per fetch
    max_requests     requests accepted in one POST /v1/fetch
    drain_timeout_s  how long fetches in flight may go on after a stop was asked for
    deadman_s        a hub that has not turned for so long is taken for stuck, and its worker replaced
    start_timeout_s  a batch's worker that has not begun so long after its start, its stages' import included, is ended
    allow_private    networks that the service may contact besides the public ones: a comma list, or "all"
    allow_ports      ports that the service may contact: a comma list, or "all"
    ca_bundle        file or folder of CA certificates; "" takes certifi's
    slice_ms         time that CPU stages in the worker may use before I/O is looked at again
    native_threads   for stages that run in threads, and for native libraries' own (BLAS, OpenMP); "auto" is one per CPU
    stage_processes  isolated processes per worker, at most, for stages that run in them; "auto" shares the CPUs out
    wide_cpus        CPUs for threads and processes of stages, in the kernel's list form; whoever pins a worker sets it.
                     "" is what this process may use
    transport        "curl", libcurl on the hub, or "requests", the plain monkey-patched one
    http             the best version of HTTP to offer, with libcurl
    tls_groups       key exchange groups to offer, with libcurl: a list as OpenSSL reads it, "" leaves it to OpenSSL,
                     "auto" offers OpenSSL's, but makes no post-quantum key share before a server asks for it
    metrics_dir      folder where the workers of one service share their metrics; whoever starts several sets it.
                     "" is a worker by itself
    log_level        of Percore's own log lines
    """

    bind: str = "127.0.0.1:8000"
    workers: Literal["auto"] | Annotated[int, Meta(ge=1, le=1024)] = "auto"
    pin: Literal["auto", "on", "off"] = "auto"
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] = 256
    per_origin: Annotated[int, Meta(ge=1, le=100_000)] = 8
    delay_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    robots: Literal["obey", "ignore"] = "ignore"
    max_crawl_delay_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    max_retry_after_s: Annotated[float, Meta(ge=0, le=86_400)] = 120.0
    adapt: Literal["on", "off"] = "on"
    breaker_failures: Annotated[int, Meta(ge=0, le=1_000_000)] = 5
    breaker_cool_down_s: Annotated[float, Meta(gt=0, le=3600)] = 1.0
    retries: Annotated[int, Meta(ge=0, le=100)] = 2
    timeout_s: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    max_body_bytes: Annotated[int, Meta(ge=0)] = 10 * 1024 * 1024
    max_redirects: Annotated[int, Meta(ge=0, le=100)] = 10
    max_requests: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    drain_timeout_s: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    deadman_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    start_timeout_s: Annotated[float, Meta(ge=1, le=86_400)] = 300.0
    allow_private: str = ""
    allow_ports: str = "80,443"
    ca_bundle: str = ""
    slice_ms: Annotated[float, Meta(ge=0.1, le=1000)] = 2.0
    native_threads: Literal["auto"] | Annotated[int, Meta(ge=1, le=1024)] = "auto"
    stage_processes: Literal["auto"] | Annotated[int, Meta(ge=1, le=1024)] = "auto"
    wide_cpus: str = ""
    transport: Literal["curl", "requests"] = "curl"
    http: Literal["1.1", "2", "3"] = "2"
    tls_groups: Annotated[str, Meta(pattern=r"^[A-Za-z0-9:/*?_ -]*$")] = "auto"
    metrics_dir: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the PERCORE_* variables of `environ`; the rest keep their defaults.

        Raises SettingsError, naming the variable, for a value out of range. Unknown PERCORE_* names are
        left alone: the launcher and the tests have some of their own.
        """
        values = {}
        for name in cls.__struct_encode_fields__:
            text = environ.get(_PREFIX + name.upper())
            if text is not None:
                values[name] = text.strip()
        try:
            settings = msgspec.convert(values, cls, strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(_explain(str(error), values)) from None
        if settings.ca_bundle and not os.path.exists(settings.ca_bundle):
            raise SettingsError(f"PERCORE_CA_BUNDLE={settings.ca_bundle!r}: there is no such file or folder")
        return settings


def variable_of(field: str) -> str:
    """The environment variable that sets `field`."""
    names = dict(zip(Settings.__struct_fields__, Settings.__struct_encode_fields__, strict=True))
    return _PREFIX + names[field].upper()


def _explain(message: str, values: Mapping[str, str]) -> str:
    """Turn msgspec's "Expected `int` >= 1 - at `$.workers`" into a line about the variable."""
    what, _, path = message.partition(" - at `$.")
    name = path.rstrip("`")
    if what.startswith(("Invalid enum value", "Expected `str` matching")):
        what = f"expected {_WORDS[name]}"
    what = what.partition(", got")[0].replace("`int`", "a whole number").replace("`float`", "a number")
    return f"{_PREFIX}{name.upper()}={values[name]!r}: {what[0].lower()}{what[1:]}"
