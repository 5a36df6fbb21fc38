"""One regime: its origin runs, and in each round every client once, in another order."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.common.client_run import ClientFailed
from benchmarks.common.contestant import Home, environment_of, python_of
from benchmarks.common.rounds import in_rounds, say
from benchmarks.common.run import Run
from benchmarks.fetch.client_run import run_client
from benchmarks.fetch.contestants import CONTESTANTS
from benchmarks.fetch.go_program import go_program
from benchmarks.fetch.origins import origin_of
from benchmarks.fetch.regimes import Regime

_START_AND_END_S = 60.0  # more than any client needs beside warm-up and count; then it is ended
_LONG_ENOUGH_TIMES = 4  # fetch-batch runs several times, and can't know how long beforehand


def launchers(regimes: Sequence[Regime]) -> dict[str, list[str]]:
    """The command of every client that occurs, by name; builds what isn't there yet."""
    commands = {}
    for name in dict.fromkeys(name for regime in regimes for name in regime.clients):
        contestant = CONTESTANTS[name]
        if contestant.home is Home.GO:
            commands[name] = [str(go_program(contestant.program))]
        else:
            commands[name] = [*python_of(contestant), f"benchmarks.clients.{contestant.program}"]
    return commands


class Rounds:
    """Runs a regime. `runs`, `note` and `versions` hold what is known, also when it was interrupted."""

    def __init__(self, regime: Regime, commands: Mapping[str, Sequence[str]], *, rounds: int, seed: int) -> None:
        self.regime = regime
        self.runs: list[Run] = []
        self.note = ""
        self.versions: dict[str, str] = {}
        self._commands = commands
        self._rounds = rounds
        self._seed = seed

    def run(self, client_cpu: int, origin_cpu: int) -> None:
        """All rounds; a client that fails in one is tried again in the next."""
        with (
            origin_of(self.regime, origin_cpu) as origin,
            tempfile.NamedTemporaryFile("w", prefix="bench-", suffix=".txt") as urls,
        ):
            self.note = origin.note
            urls.write("\n".join(origin.urls) + "\n")
            urls.flush()
            options = _options(self.regime, Path(urls.name), origin.ca_bundle)
            for number, client in in_rounds(self.regime.name, self.regime.clients, self._rounds, self._seed):
                run = self._one(number, client, options, client_cpu)
                self.runs.append(run)
                said = run.failure or f"{run.rate:,.0f}/s" + (f", {run.errors} errors" if run.errors else "")
                say(self.regime.name, number, client, said)

    def _one(self, number: int, client: str, options: Sequence[str], cpu: int) -> Run:
        timeout_s = (self.regime.warm_up_s + self.regime.duration_s) * _LONG_ENOUGH_TIMES + _START_AND_END_S
        command = [*self._commands[client], *options]
        try:
            measured = run_client(command, environment_of(CONTESTANTS[client]), cpu=cpu, timeout_s=timeout_s)
        except ClientFailed as failure:
            return Run(round=number, client=client, failure=str(failure))
        self.versions |= measured.versions
        return Run(
            round=number,
            client=client,
            failure="" if measured.fetches or measured.errors else "no fetch ended while it was counted",
            done=measured.fetches,
            errors=measured.errors,
            first_error=measured.first_error,
            wall_s=measured.wall_s,
            cpu_s=measured.cpu_s,
            peak_rss_bytes=measured.peak_rss_bytes,
        )


def _options(regime: Regime, urls: Path, ca_bundle: str) -> list[str]:
    """benchmarks/clients/protocol.py says what they mean."""
    options = [
        *("--urls", str(urls), "--body-bytes", str(regime.body_bytes), "--concurrency", str(regime.concurrency)),
        *("--warm-up-s", str(regime.warm_up_s), "--duration-s", str(regime.duration_s)),
    ]
    if regime.is_http2:
        options.append("--http2")
    return [*options, "--ca-bundle", ca_bundle] if ca_bundle else options
