"""One regime: its origin runs if it needs one, and in each round every client runs once, in another order."""

from __future__ import annotations

import json
import os
import random
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.common.client_run import ClientFailed
from benchmarks.common.contestant import environment_of, python_of
from benchmarks.common.cpus import confined_to
from benchmarks.common.peers_environment import peers_python
from benchmarks.common.rounds import in_rounds, say
from benchmarks.cpu.client_run import Interrupts, Measured, run_client
from benchmarks.cpu.contestants import CONTESTANTS
from benchmarks.cpu.mix import COST_S, Item, Kind, alike, mixed
from benchmarks.cpu.pages import Pages, served
from benchmarks.cpu.regimes import Load, Regime
from benchmarks.cpu.summary import Run

_START_AND_END_S = 60.0  # more than any client needs beside its list; then it is ended
_LONG_ENOUGH_TIMES = 8  # the CPU time of the list


def launchers(regimes: Sequence[Regime]) -> dict[str, list[str]]:
    """The command of every client that occurs, by name; builds the peers' environment if it isn't there yet."""
    commands = {}
    for name in dict.fromkeys(name for regime in regimes for name in regime.clients):
        contestant = CONTESTANTS[name]
        program = f"benchmarks.cpu.clients.{contestant.program}"
        commands[name] = [*python_of(contestant), program, *contestant.options]
    return commands


class Rounds:
    """Runs a regime. `runs` and `versions` hold what is known, also when it was interrupted."""

    def __init__(
        self,
        regime: Regime,
        commands: Mapping[str, Sequence[str]],
        pages: Pages,
        *,
        rounds: int,
        seed: int,
        unit_s: float,
        slice_s: float,
    ) -> None:
        self.regime = regime
        self.runs: list[Run] = []
        self.versions: dict[str, str] = {}
        self._commands = commands
        self._pages = pages
        self._rounds = rounds
        self._seed = seed
        self._unit_s = unit_s
        self._slice_s = slice_s
        self._all_cpus = sorted(os.sched_getaffinity(0))
        self._peers_path = _packages_of(peers_python()) if regime.native == "numpy" else ""

    def run(self, client_cpu: int, origin_cpu: int) -> None:
        """All rounds; a client that fails in one is tried again in the next."""
        items = self._items()
        with (
            self._origin(origin_cpu) as base,
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
            # We send signals meanwhile: never from the client's core.
            confined_to(origin_cpu),
        ):
            task = Path(folder, "task.json")
            for number, client in in_rounds(self.regime.name, self.regime.clients, self._rounds, self._seed):
                task.write_text(json.dumps(self._task(items, base, number)))
                cpus = {client_cpu} if CONTESTANTS[client].pinned else set(self._all_cpus)
                run = self._one(number, client, task, cpus)
                self.runs.append(run)
                say(self.regime.name, number, client, _said(run))

    @contextmanager
    def _origin(self, cpu: int) -> Iterator[str]:
        if self.regime.is_fetched:
            with served(self._pages, cpu) as base:
                yield base
        else:
            yield ""

    def _items(self) -> list[Item]:
        regime = self.regime
        if regime.load is Load.MIX:
            units = {kind: max(1, round(cost_s / self._unit_s)) for kind, cost_s in COST_S.items()}
            return mixed(regime.count, len(self._pages.paths), units, self._seed)
        return alike(regime.count, len(self._pages.paths), round(regime.stage_s / self._unit_s), Kind.LONG, self._seed)

    def _task(self, items: Sequence[Item], base: str, number: int) -> dict[str, Any]:
        """benchmarks/cpu/clients/protocol.py says what it means."""
        pages = self._pages
        return {
            "items": [
                {
                    "url": pages.url(item.page, base) if base else str(pages.file(item.page)),
                    "body_bytes": pages.sizes[item.page],
                    "kind": item.kind,
                    "units": item.units,
                }
                for item in items
            ],
            "concurrency": self.regime.concurrency,
            "fetched": self.regime.is_fetched,
            "probe_units": round(COST_S[Kind.SHORT] / self._unit_s) if self.regime.probes else 0,
            "seed": self._seed * 1000 + number,
            "slice_s": self._slice_s,
            "native": self.regime.native,
            "peers_path": self._peers_path,
            "all_cpus": self._all_cpus,
            "pairs": self.regime.pairs,
        }

    def _one(self, number: int, client: str, task: Path, cpus: set[int]) -> Run:
        chance = random.Random(f"{self._seed} {number} {client}") if self.regime.interrupts else None
        environment = environment_of(CONTESTANTS[client])
        try:
            measured, interrupts = run_client(
                self._commands[client], environment, task=task, cpus=cpus, timeout_s=self._timeout_s, interrupts=chance
            )
        except ClientFailed as failure:
            return Run(round=number, client=client, failure=str(failure))
        self.versions |= measured.versions
        return _run(number, client, measured, interrupts)

    @property
    def _timeout_s(self) -> float:
        times = max(1, 2 * self.regime.pairs)
        list_s = sum(item.units for item in self._items()) * self._unit_s * times
        return _START_AND_END_S + _LONG_ENOUGH_TIMES * list_s


def _packages_of(python: Path) -> str:
    """The folder of that environment's packages."""
    return sysconfig.get_path("platlib", vars={"base": str(python.parents[1]), "platbase": str(python.parents[1])})


def _run(number: int, client: str, measured: Measured, interrupts: Interrupts) -> Run:
    return Run(
        round=number,
        client=client,
        failure="" if measured.done or measured.errors else "nothing of the list was done",
        done=measured.done,
        errors=measured.errors,
        first_error=measured.first_error,
        wall_s=measured.wall_s,
        cpu_s=measured.cpu_s + measured.pool_cpu_s,
        peak_rss_bytes=measured.peak_rss_bytes,
        ticks=measured.ticks,
        late_p50_s=measured.late_p50_s,
        late_p99_s=measured.late_p99_s,
        late_max_s=measured.late_max_s,
        late_histogram=measured.late_histogram,
        took_p50_s=measured.took_p50_s,
        took_p99_s=measured.took_p99_s,
        probes_s=measured.probes_s,
        handled_s=interrupts.handled_s,
        looped_s=interrupts.looped_s,
        scores=measured.scores,
        statistics=measured.statistics,
        pairs=measured.pairs,
    )


def _said(run: Run) -> str:
    if run.failure:
        return run.failure
    late = f", p99 {run.late_p99_s * 1e3:.2f} ms late" if run.ticks else ""
    errors = f", {run.errors} errors: {run.first_error}" if run.errors else ""
    return f"{run.rate:,.1f}/s{late}{errors}"
