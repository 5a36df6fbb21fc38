"""One run of one client, and its line."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from benchmarks.common import client_run
from benchmarks.common.client_run import ClientFailed, Command

__all__ = ["ClientFailed", "Measured", "run_client"]


class Measured(Struct, frozen=True):
    """A client's line; benchmarks/clients/protocol.py says what each field is."""

    fetches: int
    errors: int
    first_error: str
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    body_bytes: int
    versions: dict[str, str]


def run_client(command: Command, environment: Mapping[str, str], *, cpu: int, timeout_s: float) -> Measured:
    """See benchmarks/common/client_run.py; on one core."""
    return client_run.run_client(command, environment, cpus={cpu}, timeout_s=timeout_s, line=Measured)
