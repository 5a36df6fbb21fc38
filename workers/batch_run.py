"""Batch run: one run of a job, from its plan to its output: the work folder, the children, the end."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from app.errors import Interrupted, OutputError, PercoreError, UsageError
from app.files.cache_folder import open_folder
from app.files.reasons import reason_of
from app.model.caching import CacheCounts
from app.policy.advice import added_up, advise
from app.sources.entry import is_entry
from workers.affinity import core_order, should_pin
from workers.batch_options import BatchOptions
from workers.begin_check import check_begin
from workers.beside import Beside
from workers.drain import StopSignals
from workers.feed import Feed
from workers.layout import shard_path
from workers.ledger import Ledger
from workers.messages import Begin
from workers.phase import Phase
from workers.plan import Plan, Shards, begin_of, workers_of
from workers.progress import Progress
from workers.summary import OriginUse, StageSummary, State, Summary, peak_bytes
from workers.supervisor import Supervisor
from workers.tally import Tally
from workers.topology import Topology, read_topology
from workers.work_folder import WorkFolder

EXIT_FAILURES = 1
EXIT_INTERRUPTED = 130

_SLOWEST_KEPT = 10


class BatchRun:
    """One run. Call `run` once.

    how_to_go_on  the command that goes on with this run, for the person who stopped it
    """

    def __init__(self, options: BatchOptions, plan: Plan, how_to_go_on: Callable[[], str]) -> None:
        self._options = options
        self._plan = plan
        self._how_to_go_on = how_to_go_on
        self._topology: Topology = read_topology()
        self._workers = workers_of(options, self._topology)
        self._cache = options.cache_options(self._workers)
        self._phase = Phase()
        self._folder = WorkFolder(plan.outputs, self._phase)
        self._tally = Tally()
        # None until there is work to do.
        self._shards: Shards | None = None
        self._feed: Feed | None = None
        self._supervisor: Supervisor | None = None
        self._started_at = datetime.now(UTC)
        self._started_s = time.monotonic()

    def run(self) -> int:
        """The exit status. Raises UsageError when nothing was done, another PercoreError when the run can't be
        ended: what it has recorded is there, and the message says whether it can be gone on with.
        """
        try:
            return self._run()
        except UsageError:
            raise
        except PercoreError as error:
            raise PercoreError(f"{error}; {self._what_is_left()}") from error
        except OSError as error:
            # Of what a run needs for itself, nothing else is refused.
            if error.errno != errno.EMFILE:
                raise
            why = reason_of(error, or_else="lower --workers")
            raise PercoreError(f"can't begin: {why}; {self._what_is_left()}") from error

    def _run(self) -> int:
        with StopSignals() as signals:
            shown = Progress(self._options.progress, self._estimate)
            limit_s = self._options.settings.drain_timeout_s
            beside = Beside(signals, self._phase, shown, self._tally, limit_s)
            try:
                return self._begin_and_work(signals, shown, beside)
            except Interrupted:
                # Before anything was fetched.
                self._write_summary(self._summary("interrupted"), shown)
                shown.say(self._advice_to_go_on())
                return EXIT_INTERRUPTED
            except Exception as error:
                self._write_summary(self._summary("refused" if isinstance(error, UsageError) else "stopped"), shown)
                raise
            finally:
                shown.close(signals.reader_limit_s)
                if not beside.is_left:
                    self._folder.release()

    def _begin_and_work(self, signals: StopSignals, shown: Progress, beside: Beside) -> int:
        self._open_cache(shown)
        options, plan = self._options, self._plan
        if options.fresh and self._folder.has_unfinished_run:
            # What is thrown away for a command that can't be done would be lost for nothing.
            check_begin(self._begin(), self._topology.allowed, shown.say, signals)
        done = beside.run(
            lambda: self._folder.begin(plan.manifest, fresh=options.fresh, retry=options.retry_failed),
        )
        if done is not None:
            what = "no record of it failed like that" if options.retry_failed else "the same command has written it"
            are = "is" if len(plan.outputs) == 1 else "are"
            shown.say(
                f"fetch-batch: nothing to do: {self._outputs()} {are} finished, {what} ({done.summary.lines()[0]})"
            )
            self._write_summary(done.summary, shown)
            return 0
        ledger = Ledger(self._folder.path)
        self._shards = plan.shards(self._folder.path)
        self._feed = Feed(self._shards, finished=ledger.finished, is_entry=is_entry, ahead=self._workers + 1)
        self._supervisor = supervisor = self._new_supervisor(self._feed, ledger, signals, shown)
        try:
            summary = self._work(supervisor, beside, self._feed)
        except UsageError as error:
            if supervisor.has_begun and self._folder.has_records():
                # What was right at the beginning has changed since. It costs nothing of what was done by then.
                raise PercoreError(str(error)) from error
            self._folder.discard_if_new()
            raise
        finally:
            ledger.close()
        self._write_summary(summary, shown)
        return self._say_how_it_ended(summary, supervisor, shown)

    def _open_cache(self, shown: Progress) -> None:
        if self._cache is not None and (why := open_folder(Path(self._cache.folder))):
            shown.say(f"fetch-batch: {why}; going on without it")
            self._options = msgspec.structs.replace(self._options, cache=None)
            self._cache = None

    def _work(self, supervisor: Supervisor, beside: Beside, feed: Feed) -> Summary:
        """Fetch what has no record, and make the outputs."""
        if not supervisor.run():
            return self._summary("interrupted")
        summary = self._summary("finished")
        try:
            beside.run(lambda: self._publish(feed, summary))
        except Interrupted:
            return self._summary("interrupted")
        return summary

    def _begin(self) -> Begin:
        return begin_of(self._options, self._plan, self._folder.path, self._topology)

    def _new_supervisor(self, feed: Feed, ledger: Ledger, signals: StopSignals, shown: Progress) -> Supervisor:
        topology = self._topology
        begin = msgspec.structs.replace(self._begin(), sources=self._folder.sources)
        return Supervisor(
            begin,
            feed,
            self._tally,
            shown,
            workers=self._workers,
            cores=core_order(topology) if should_pin(begin.settings.pin, topology) else (),
            wide=topology.allowed,
            signals=signals,
            drain_limit_s=begin.settings.drain_timeout_s,
            finished=ledger.note,
            imported=self._folder.learn,
        )

    def _publish(self, feed: Feed, summary: Summary) -> None:
        if summary.records != feed.entries_seen:
            raise OutputError(
                f"there are {summary.records:,} records for {feed.entries_seen:,} requests; please report this defect"
            )
        path = self._folder.path
        numbers = [number for number in range(feed.shards_seen) if number not in feed.empty_shards]
        self._folder.publish(lambda: (shard_path(path, number) for number in numbers), self._plan.manifest, summary)

    def _say_how_it_ended(self, summary: Summary, supervisor: Supervisor, shown: Progress) -> int:
        shown.sum_up(summary)
        for advice in advise(added_up(supervisor.uses), self._options.settings.slice_ms / 1000):
            shown.say(f"advice: {advice.text}")
        if summary.state == "interrupted":
            shown.say(self._advice_to_go_on())
            return EXIT_INTERRUPTED
        shown.say(f"written to {self._outputs()}")
        return EXIT_FAILURES if summary.failed else 0

    def _outputs(self) -> str:
        return ", ".join(map(str, self._plan.outputs))

    def _advice_to_go_on(self) -> str:
        if self._plan.inputs.is_repeatable:
            return f"interrupted; nothing is lost, this goes on: {self._how_to_go_on()}"
        return f"interrupted; {self._what_is_left()}"

    def _what_is_left(self) -> str:
        """Of a run that has not come to its output, and whether it can be gone on with."""
        if self._plan.inputs.is_repeatable:
            return "what was written is whole, and the same command goes on from there"
        there = ""
        if self._folder.path.exists():
            there = f". What was written is whole, and lies in {self._folder.path}/parts and shards"
        return f"standard input can't be read again, so this can't go on{there}; a list in a file can be gone on with"

    def _estimate(self) -> float | None:
        """How many records there will be, judged by how much of the input has been read."""
        feed = self._feed
        if feed is None:
            return None
        share = self._plan.inputs.read_share()
        if self._plan.selection.limit is not None:
            share = max(share or 0.0, feed.lines_seen / self._plan.selection.limit)
        return feed.entries_seen / share if share and feed.entries_seen else None

    def _summary(self, state: State) -> Summary:
        tally, supervisor = self._tally, self._supervisor
        kinds = tally.kinds
        records, ok = kinds.total(), kinds.pop("ok", 0)
        fetched = records - tally.resumed
        elapsed_s = time.monotonic() - self._started_s
        parent, child = peak_bytes()
        return Summary(
            state=state,
            records=records,
            ok=ok,
            failed=records - ok,
            kinds=dict(kinds.most_common()),
            resumed=tally.resumed,
            fetched=fetched,
            elapsed_s=round(elapsed_s, 3),
            rate=round(fetched / max(elapsed_s, 1e-9), 1),
            started_at=self._started_at.isoformat(timespec="seconds"),
            outputs=[str(spec) for spec in self._plan.outputs],
            workers=self._workers,
            worker_deaths=supervisor.deaths if supervisor is not None else 0,
            slowest_origins=[
                OriginUse(use.key, use.count, round(use.weight, 3)) for use in tally.slowest(_SLOWEST_KEPT)
            ],
            stages=[
                StageSummary(use.name, use.runs_in, use.runs, round(use.cpu_s, 3), round(use.wall_s, 3))
                for use in added_up(supervisor.uses if supervisor is not None else [])
            ],
            parent_peak_bytes=parent,
            child_peak_bytes=child,
            duplicates=self._shards.duplicates if self._shards is not None else 0,
            cache=None if self._cache is None else supervisor.cache if supervisor is not None else CacheCounts(),
        )

    def _write_summary(self, summary: Summary, shown: Progress) -> None:
        if self._options.summary is None:
            return
        try:
            Path(self._options.summary).write_bytes(msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
        except OSError as error:
            shown.say(f"fetch-batch: can't write the summary to {self._options.summary}: {reason_of(error)}")
