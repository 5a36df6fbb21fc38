"""One regime: its origin runs, and in each round every client does its list once, in another order."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from benchmarks.batch.contestants import CONTESTANTS, Contestant
from benchmarks.batch.journal import Measured
from benchmarks.batch.judge import judge
from benchmarks.batch.killing import Killing
from benchmarks.batch.lists import List, listed
from benchmarks.batch.regimes import Kind, Regime
from benchmarks.batch.results import finished
from benchmarks.batch.summary import Run
from benchmarks.batch.tree import growing
from benchmarks.common.client_run import ClientFailed, run_client
from benchmarks.common.contestant import environment_of
from benchmarks.common.rounds import in_rounds, say
from benchmarks.cpu.pages import Pages

_LONGEST_S = 600.0  # more than any list takes; then it is ended
_LOOK_EVERY_S = 0.2
_TURNS = 35


class _Took(Struct, frozen=True):
    wall_s: float
    cpu_s: float
    peak_bytes: int
    errors: int
    first_error: str


class Rounds:
    """Runs a regime. `runs` and `versions` hold what is known, also when it was interrupted.

    count  URLs of every list, if not the regime's or the contestants' own
    """

    def __init__(
        self, regime: Regime, pages: Pages | None, *, rounds: int | None, count: int | None, seed: int, is_quick: bool
    ) -> None:
        self.regime = regime
        self.runs: list[Run] = []
        self.rounds = rounds or regime.rounds
        self.versions: dict[str, str] = {}
        self._pages = pages
        self.count = count or regime.count
        self._seed = seed
        self._turns = 2 if is_quick else _TURNS

    def run(self, client_cpu: int, origin_cpu: int) -> None:
        """All rounds; a client that fails in one is tried again in the next."""
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            if self.regime.kind is Kind.KILLED:
                self._all(
                    Path(folder), lambda number, one, place: self._killed(number, one, place, client_cpu, origin_cpu)
                )
                return
            longest = max(self._count_of(CONTESTANTS[name]) for name in self.regime.clients)
            with listed(self.regime, longest, self._pages, origin_cpu) as urls:
                way = self._journal if self.regime.kind is Kind.JOURNAL else self._timed
                cpus = [client_cpu, origin_cpu]
                self._all(Path(folder), lambda number, one, place: way(number, one, place, urls, cpus))

    def _all(self, folder: Path, do: Callable[[int, Contestant, Path], Run]) -> None:
        for number, client in in_rounds(self.regime.name, self.regime.clients, self.rounds, self._seed):
            place = folder / f"{number}-{client}"
            try:
                run = do(number, CONTESTANTS[client], place)
            except ClientFailed as failure:
                run = Run(round=number, client=client, failure=str(failure))
            shutil.rmtree(place, ignore_errors=True)
            self.runs.append(run)
            say(self.regime.name, number, client, _said(run))

    def _count_of(self, contestant: Contestant) -> int:
        return self.count or contestant.count

    def _timed(self, number: int, contestant: Contestant, place: Path, urls: List, cpus: list[int]) -> Run:
        """The whole command; less what a first run took, where the regime has one."""
        count = self._count_of(contestant)
        start = _Took(0.0, 0.0, 0, 0, "")
        if first := self.regime.start_count:
            start = self._once(contestant, place, urls.first(first), urls.base, cpus)
            shutil.rmtree(place)
        took = self._once(contestant, place, urls.first(count), urls.base, cpus)
        return Run(
            round=number,
            client=contestant.name,
            done=count - first - took.errors,
            errors=start.errors + took.errors,
            first_error=start.first_error or took.first_error,
            wall_s=took.wall_s - start.wall_s,
            cpu_s=took.cpu_s - start.cpu_s,
            peak_rss_bytes=took.peak_bytes,
        )

    def _once(
        self, contestant: Contestant, place: Path, expected: Mapping[str, str], base: str, cpus: list[int]
    ) -> _Took:
        place.mkdir()
        listing = place.with_suffix(".txt")
        listing.write_text("".join(f"{url}\n" for url in expected))
        command = contestant.command(listing, place, self.regime.concurrency)
        began_s, peak_bytes = time.monotonic(), 0
        with growing(command, environment_of(contestant), cpus[: contestant.cores], place) as tree:
            while not tree.ended(_LOOK_EVERY_S):
                peak_bytes = max(peak_bytes, tree.peak_bytes())
                if time.monotonic() - began_s > _LONGEST_S:
                    raise ClientFailed(f"not done after {_LONGEST_S:g} s")
            wall_s = time.monotonic() - began_s
            if status := tree.reap():
                raise ClientFailed(f"ended with {status}: {tree.complaint()}")
            verdict = judge(finished(contestant, place, base), expected)
            return _Took(wall_s, tree.cpu_s, peak_bytes, verdict.faults, str(verdict) if verdict.faults else "")

    def _journal(self, number: int, contestant: Contestant, place: Path, urls: List, cpus: list[int]) -> Run:
        place.mkdir()
        listing = place.with_suffix(".txt")
        count = self._count_of(contestant)
        listing.write_text("".join(f"{url}\n" for url in urls.first(count)))
        measured = run_client(
            [*contestant.command(listing, place, self.regime.concurrency), str(self._turns)],
            environment_of(contestant),
            cpus=cpus[:1],
            timeout_s=_LONGEST_S,
            line=Measured,
        )
        self.versions |= measured.versions
        return Run(
            round=number,
            client=contestant.name,
            errors=measured.errors,
            first_error=f"{measured.errors} URLs failed" if measured.errors else "",
            turns=measured.turns,
        )

    def _killed(self, number: int, contestant: Contestant, place: Path, client_cpu: int, origin_cpu: int) -> Run:
        regime = self.regime
        count = self._count_of(contestant)
        killing = Killing(
            contestant,
            place,
            count=count,
            concurrency=regime.concurrency,
            kills=regime.kills,
            seed=f"{self._seed} {number}",
        )
        history = killing.run(client_cpu, origin_cpu)
        # That a peer loses some is its figure, and no failure of the benchmark.
        return Run(round=number, client=contestant.name, done=count - history.verdict.lost, history=history)


def _said(run: Run) -> str:
    if run.failure:
        return run.failure
    if run.history is not None:
        verdict = run.history.verdict
        faults = f"{verdict.lost} lost, {verdict.doubled} doubled, {verdict.torn} torn, {verdict.wrong} wrong"
        return (
            f"{run.history.kills} kills: {faults}, {run.history.refetched} refetched; {run.history.failure or 'done'}"
        )
    if run.turns:
        return f"{len(run.turns)} turns"
    return f"{run.rate:,.0f}/s" + (f", {run.errors} errors: {run.first_error}" if run.errors else "")
