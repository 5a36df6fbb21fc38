"""Supervisor: the parent of a batch. Hands out shards, replaces children that die, stops in three steps.

It runs no stage and fetches nothing, so ctrl-C is always answered; it is plain Python on one selector, and
nothing in its loop waits.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from app.errors import OutputError, PercoreError, UsageError
from app.files.reasons import reason_of
from app.model.caching import CacheCounts
from app.policy.advice import StageUse
from workers.affinity import choose_core
from workers.child import Child
from workers.drain import StopSignals
from workers.feed import Feed
from workers.handout import Handout
from workers.lookout import Lookout
from workers.messages import (
    Began,
    Begin,
    Count,
    Fault,
    Imported,
    Ready,
    Refused,
    ShardDone,
    ToParent,
    Used,
    Want,
    Warned,
)
from workers.progress import Progress
from workers.stage_sources import check_same
from workers.stopping import Stopping
from workers.suspension import suspend
from workers.tally import Tally, WorkerState

# A child that dies before it is ready may have had bad luck; so many in a row have a reason that stays.
_UNREADY_DEATHS = 3

# How often children are looked at that say nothing.
_LOOK_EVERY_S = 0.5


class Supervisor:
    """One run of a batch. Call `run` once.

    begin    what every child is told first
    workers  how many children
    cores    CPUs to pin them to, in order; empty for no pin
    wide     CPUs that this process may use
    signals  what asks to stop
    finished told of each shard that is finished, with the counts of its records
    imported told what stages were imported from, when it is new (app.files.sources)
    """

    def __init__(
        self,
        begin: Begin,
        feed: Feed,
        tally: Tally,
        progress: Progress,
        *,
        workers: int,
        cores: Sequence[int],
        wide: frozenset[int],
        signals: StopSignals,
        drain_limit_s: float,
        finished: Callable[[int, Mapping[str, int]], None],
        imported: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._begin = begin
        self._feed = feed
        self._tally = tally
        self._progress = progress
        self._workers = workers
        self._cores = tuple(cores)
        self._wide = wide
        self._signals = signals
        self._finished = finished
        self._imported = imported
        self._selector = selectors.DefaultSelector()
        self._children: list[Child] = []
        self._handout = Handout(feed)
        self._lookout = Lookout(begin, progress.say)
        self._stopping = Stopping(self._children, progress.say, drain_limit_s)
        self._unready_deaths = 0  # in a row
        self._has_begun = False  # some child was ready
        self.deaths = 0  # of children that were replaced
        self.uses: list[StageUse] = []  # what the stages have used in children that have ended in order
        self.cache = CacheCounts()  # of these, too
        self._warned: set[str] = set()  # what was said already

    def run(self) -> bool:
        """Work to the end; whether every shard is finished (False: stopped by signal).

        Raises UsageError when a child refuses the job (nothing was fetched, unless `has_begun`), OutputError when
        records can't be stored any more. No child is left behind in any case.
        """
        signals = self._signals
        wait_s = min(self._progress.every_s, _LOOK_EVERY_S)
        with self._selector:
            self._selector.register(signals, selectors.EVENT_READ, signals.clear)
            self._selector.register(self._feed, selectors.EVENT_READ, self._feed.clear)
            try:
                for _ in range(self._workers):
                    self._spawn()
                while self._children:
                    for key, _ in self._selector.select(self._stopping.wait_s(wait_s)):
                        key.data()
                    if signals.wants_pause:
                        self._stopping.paused(suspend(signals, self._progress, self._children))
                    self._stopping.obey(signals.step)
                    self._hand_out()
                    self._count_skipped()
                    self._watch_unsent()
                    self._look_for_stuck()
                    self._let_go_of_unready()
                    self._progress.update(self._tally)
            finally:
                for child in self._children:
                    child.kill()
                    *_, last_words = child.reap()
                    self._progress.say(*last_words)
        if self._stopping.problem is not None:
            raise self._stopping.problem
        return self._stopping.step == 0

    @property
    def has_begun(self) -> bool:
        """Whether any child was ready, so that something may have been fetched."""
        return self._has_begun

    # Children

    def _spawn(self) -> None:
        core = choose_core(self._cores, (child.core for child in self._children)) if self._cores else None
        try:
            child = Child(core, self._wide)
        except OSError as error:
            self._stopping.stop_for(
                PercoreError(f"can't start a worker: {reason_of(error, or_else='lower --workers')}")
            )
            return
        self._children.append(child)
        self._selector.register(child, selectors.EVENT_READ, lambda: self._on_child(child))
        self._selector.register(child.words, selectors.EVENT_READ, lambda: self._pass_on(child))
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._bury(child))
        child.send(self._begin)

    def _on_child(self, child: Child) -> None:
        if child not in self._children or child.is_silent:
            return  # an earlier event of the same round was its last
        child.flush()
        messages, were_the_last = child.receive()
        for message in messages:
            self._on_message(child, message)
        if were_the_last:
            self._selector.unregister(child)

    def _pass_on(self, child: Child) -> None:
        if child not in self._children:
            return  # an earlier event of the same round was its last
        lines, were_the_last = child.words.lines()
        self._progress.say(*lines)
        if were_the_last:
            self._selector.unregister(child.words)

    def _on_message(self, child: Child, message: ToParent) -> None:
        match message:
            case Ready():
                child.is_ready = self._has_begun = True
                self._unready_deaths = 0
            case Imported(sources):
                self._learn(sources)
            case Want():
                self._handout.wants(child)
            case Began(number, kinds):
                self._tally.set_open(number, kinds)
                records = sum(kinds.values())
                if self._handout.taken_up(child, number, records):
                    self._tally.resumed += records
            case Count():
                for number, kinds in message.shards.items():
                    self._tally.set_open(number, kinds)
                child.state = WorkerState(child.process.pid, child.core, message.in_flight, message.cpu, message.late_s)
                self._tally.workers = self._states()
                if message.slowest is not None:
                    self._tally.set_slowest(child.process.pid, message.slowest)
            case ShardDone(number, kinds):
                self._tally.finish(number, kinds)
                self._finished(number, kinds)
                self._handout.finished(child, number)
            case Used(uses, cache):
                self.uses += uses
                self.cache = self.cache.plus(cache or CacheCounts())
            case Warned(text):
                if text not in self._warned:
                    self._warned.add(text)
                    self._progress.say(f"fetch-batch: {text}")
            case Refused(text):
                self._stopping.stop_for(UsageError(text))
            case Fault(text):
                self._stopping.stop_for(OutputError(text))

    def _learn(self, sources: dict[str, str]) -> None:
        known = self._begin.sources
        try:
            check_same(known, sources)
        except UsageError as problem:
            self._stopping.stop_for(problem)
            return
        if new := {key: value for key, value in sources.items() if key not in known}:
            # Whoever takes another's place is to begin with the same.
            self._begin = msgspec.structs.replace(self._begin, sources=known | new)
            self._imported(new)

    def _bury(self, child: Child) -> None:
        """A child has ended: in order, or not."""
        self._on_child(child)
        if not child.is_silent:
            self._selector.unregister(child)
        if not child.words.is_over:
            self._selector.unregister(child.words)
        self._selector.unregister(child.pidfd)
        self._children.remove(child)
        self._handout.gone(child)
        self._tally.ended(child.process.pid)
        self._tally.workers = self._states()
        status, notes, last_words = child.reap()
        self._progress.say(*last_words)
        if self._stopping.has_begun or child.is_let_go or (status == 0 and not child.shards):
            return
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        if not child.is_ready:
            self._unready_deaths += 1
            if self._unready_deaths >= _UNREADY_DEATHS:
                self._stopping.stop_for(PercoreError(f"{_UNREADY_DEATHS} workers {how} before they began"))
                return
        self._progress.say(f"fetch-batch: worker {child.process.pid} {how}; another takes its place")
        self.deaths += 1
        self._handout.died(child, [note.request for note in notes])
        self._spawn()

    def _let_go_of_unready(self) -> None:
        """When all is done, nobody waits for those that are still at their imports."""
        if self._has_begun and self._handout.is_over(self._children):
            for child in self._children:
                if not child.is_ready:
                    child.is_let_go = True
                    child.kill()

    def _states(self) -> list[WorkerState]:
        states = [child.state for child in self._children if child.state is not None]
        return sorted(states, key=lambda state: (-1 if state.core is None else state.core, state.pid))

    def _look_for_stuck(self) -> None:
        try:
            self._lookout.look(self._children, time.monotonic(), has_begun=self._has_begun)
        except UsageError as problem:
            self._stopping.stop_for(problem)

    def _hand_out(self) -> None:
        if self._stopping.has_begun:
            return
        try:
            self._handout.hand_out(self._children)
        except PercoreError as problem:
            self._stopping.stop_for(problem)

    def _count_skipped(self) -> None:
        for number, kinds in self._feed.take_skipped():
            self._tally.finish(number, kinds)
            self._tally.resumed += kinds.total()
        if self._feed.is_exhausted:
            self._tally.total = self._feed.entries_seen

    def _watch_unsent(self) -> None:
        for child in self._children:
            if child.is_silent:
                continue
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.has_unsent else 0)
            key = self._selector.get_key(child)
            if key.events != events:
                self._selector.modify(child, events, key.data)
