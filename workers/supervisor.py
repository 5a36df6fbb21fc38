"""Supervisor: the parent of a batch. Hands out shards, replaces children that die, stops in three steps.

It runs no stage and fetches nothing, so ctrl-C is always answered; it is plain Python on one selector, and
nothing in its loop waits. A shard belongs to the child that it was handed to until that child says that its file
is in place; a child's death gives its shards back, and its successor goes on where the parts end.
"""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from app.errors import OutputError, PercoreError, UsageError
from app.files.reasons import reason_of
from app.model.caching import CacheCounts
from app.policy.advice import StageUse
from app.policy.sharding import Shard
from app.settings import variable_of
from workers.affinity import choose_core
from workers.blame import Blame
from workers.child import Child
from workers.drain import STEP_CANCEL, STEP_DRAIN, STEP_KILL, StopSignals
from workers.feed import Feed
from workers.messages import (
    Began,
    Begin,
    Count,
    Drain,
    Fault,
    NoMoreShards,
    Ready,
    Refused,
    ShardDone,
    TakeShard,
    ToParent,
    Used,
    Want,
    Warned,
)
from workers.progress import Progress
from workers.suspension import suspend
from workers.tally import Tally, WorkerState
from workers.watch import ASKED_AT, Step

# A child that dies before it is ready may have had bad luck; so many in a row have a reason that stays.
_UNREADY_DEATHS = 3

# How many more shards one child may have in hand than another: so many, that none waits for the next; so few, that
# the child that began first does not take a short list all for itself.
_LEAD = 2

# How often children are looked at that say nothing.
_LOOK_EVERY_S = 0.5

# Children answer Drain by themselves at its limit; only one that is stuck is ended from here. A person who has asked
# twice waits for no other; a fault is to be told by who met it.
_DRAIN_GRACE_S = 0.3
_CANCEL_GRACE_S = 0.15
_FAULT_GRACE_S = 0.5


class Supervisor:
    """One run of a batch. Call `run` once.

    begin    what every child is told first
    workers  how many children
    cores    CPUs to pin them to, in order; empty for no pin
    wide     CPUs that this process may use
    signals  what asks to stop
    finished told of each shard that is finished, with the counts of its records
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
    ) -> None:
        self._begin = begin
        self._feed = feed
        self._tally = tally
        self._progress = progress
        self._workers = workers
        self._cores = tuple(cores)
        self._wide = wide
        self._signals = signals
        self._drain_limit_s = drain_limit_s
        self._finished = finished
        self._selector = selectors.DefaultSelector()
        self._children: list[Child] = []
        self._hungry: list[Child] = []  # one entry for each Want that is not answered
        self._returned: deque[Shard] = deque()  # of children that died
        self._blame = Blame()
        self._begun: set[int] = set()  # numbers of shards that a child has taken up
        self._unready_deaths = 0  # in a row
        self._has_begun = False  # some child was ready
        self._step = 0
        self._kill_at_s: float | None = None
        self._problem: PercoreError | None = None
        self.deaths = 0  # of children that were replaced
        self.uses: list[StageUse] = []  # what the stages have used in children that have ended in order
        self.cache = CacheCounts()  # of these, too
        self._warned: set[str] = set()  # what was said already

    def run(self) -> bool:
        """Work to the end; whether every shard is finished (False: stopped by signal).

        Raises UsageError when a child refuses the job (nothing was fetched), OutputError when records can't be
        stored any more. No child is left behind in any case.
        """
        signals = self._signals
        with self._selector:
            self._selector.register(signals, selectors.EVENT_READ, signals.clear)
            self._selector.register(self._feed, selectors.EVENT_READ, self._feed.clear)
            try:
                for _ in range(self._workers):
                    self._spawn()
                while self._children:
                    for key, _ in self._selector.select(self._patience_s()):
                        key.data()
                    if signals.wants_pause:
                        self._suspend()
                    self._obey(signals.step)
                    self._hand_out()
                    self._count_skipped()
                    self._watch_unsent()
                    self._look_for_stuck()
                    self._let_go_of_unready()
                    self._progress.update(self._tally)
            finally:
                for child in self._children:
                    child.kill()
                    child.reap()
        if self._problem is not None:
            raise self._problem
        return self._step == 0

    # Children

    def _spawn(self) -> None:
        core = choose_core(self._cores, (child.core for child in self._children)) if self._cores else None
        try:
            child = Child(core, self._wide)
        except OSError as error:
            self._stop_for(PercoreError(f"can't start a worker: {reason_of(error, or_else='lower --workers')}"))
            return
        self._children.append(child)
        self._selector.register(child, selectors.EVENT_READ, lambda: self._on_child(child))
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

    def _on_message(self, child: Child, message: ToParent) -> None:
        match message:
            case Ready():
                child.is_ready = self._has_begun = True
                self._unready_deaths = 0
            case Want():
                if not child.is_dismissed:
                    self._hungry.append(child)
            case Began(number, kinds):
                self._tally.set_open(number, kinds)
                if number not in self._begun:
                    self._begun.add(number)
                    self._tally.resumed += sum(kinds.values())
                child.begun.add(number)
                self._blame.taken_up(number, sum(kinds.values()))
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
                self._begun.discard(number)
                self._blame.finished(number)
                del child.shards[number]
                child.begun.discard(number)
            case Used(uses, cache):
                self.uses += uses
                self.cache = self.cache.plus(cache or CacheCounts())
            case Warned(text):
                if text not in self._warned:
                    self._warned.add(text)
                    self._progress.say(f"fetch-batch: {text}")
            case Refused(text):
                self._stop_for(UsageError(text))
            case Fault(text):
                self._stop_for(OutputError(text))

    def _bury(self, child: Child) -> None:
        """A child has ended: in order, or not."""
        self._on_child(child)
        if not child.is_silent:
            self._selector.unregister(child)
        self._selector.unregister(child.pidfd)
        self._children.remove(child)
        self._hungry = [other for other in self._hungry if other is not child]
        self._tally.ended(child.process.pid)
        self._tally.workers = self._states()
        status, notes = child.reap()
        running = [note.request for note in notes]
        if self._step or self._problem or child.is_let_go or (status == 0 and not child.shards):
            return
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        if not child.is_ready:
            self._unready_deaths += 1
            if self._unready_deaths >= _UNREADY_DEATHS:
                self._stop_for(PercoreError(f"{_UNREADY_DEATHS} workers {how} before they began"))
                return
        self._progress.say(f"fetch-batch: worker {child.process.pid} {how}; another takes its place")
        self.deaths += 1
        self._blame.died(running, child.begun)
        self._returned.extend(shard for _, shard in sorted(child.shards.items()))
        self._spawn()

    def _let_go_of_unready(self) -> None:
        """When all is done, nobody waits for those that are still at their imports."""
        if (
            self._has_begun
            and self._feed.is_exhausted
            and not self._returned
            and not any(child.shards for child in self._children)
        ):
            for child in self._children:
                if not child.is_ready:
                    child.is_let_go = True
                    child.kill()

    def _states(self) -> list[WorkerState]:
        states = [child.state for child in self._children if child.state is not None]
        return sorted(states, key=lambda state: (-1 if state.core is None else state.core, state.pid))

    def _look_for_stuck(self) -> None:
        """Say of each child that does not report where it is stuck, and end it when that lasts too long."""
        now_s = time.monotonic()
        settings = self._begin.settings
        for child in self._children:
            if child.is_silent:
                continue
            match child.watch.look(now_s, settings.deadman_s if child.is_ready else settings.start_timeout_s):
                case Step.ASK:
                    child.ask_where()
                case Step.TELL:
                    self._progress.say(f"fetch-batch: {self._stuck(child, now_s)}")
                case Step.REPLACE:
                    if not self._has_begun:
                        self._stop_for(self._never_began(child))
                        return
                    self._progress.say(f"fetch-batch: {self._stuck(child, now_s)}, and is ended")
                    child.kill()

    def _never_began(self, child: Child) -> UsageError:
        """Nobody else did either, so another try would hang there too."""
        limit_s = self._begin.settings.start_timeout_s
        frame = child.innermost_frame()
        where = f" (after {limit_s * ASKED_AT:.0f} s one was in {frame})" if frame else ""
        return UsageError(
            f"no worker was ready after {limit_s:g} s{where}: the import of a stage hangs, or wants a longer "
            f"{variable_of('start_timeout_s')}"
        )

    def _stuck(self, child: Child, now_s: float) -> str:
        if not child.is_ready:
            frame = child.innermost_frame()
            told = f"worker {child.process.pid} is not ready after {child.watch.silent_s(now_s):.1f} s"
            return told + (f", in {frame}" if frame else "")
        notes = child.running()
        what = ", ".join(f"{self._begin.stages[note.stage]!r} of request {note.request}" for note in notes[:3])
        more = f" and {len(notes) - 3} more" if len(notes) > 3 else ""
        return (
            f"worker {child.process.pid} has not answered for {child.watch.silent_s(now_s):.1f} s"
            + (f", with stage {what}{more} begun" if notes else "")
            + (f", in {frame}" if (frame := child.innermost_frame()) else "")
        )

    # Shards

    def _hand_out(self) -> None:
        """Answer every Want that can be answered now."""
        while self._hungry and not self._step and not self._problem:
            child = min(self._hungry, key=lambda hungry: len(hungry.shards))
            if len(child.shards) >= min(len(other.shards) for other in self._children) + _LEAD:
                return
            shard = self._next_shard()
            if shard is not None:
                self._hungry.remove(child)
                child.shards[shard.number] = shard
                child.send(self._taking(shard))
            elif self._feed.is_exhausted:
                self._dismiss(child)
            else:
                return

    def _dismiss(self, child: Child) -> None:
        # All its Wants are answered by this: it leaves, and must not be given what another's death returns later.
        child.is_dismissed = True
        self._hungry = [other for other in self._hungry if other is not child]
        child.send(NoMoreShards())

    def _taking(self, shard: Shard) -> TakeShard:
        blame = self._blame
        return TakeShard(shard, blame.suspects(shard), blame.condemned(shard), blame.gives_up(shard.number))

    def _next_shard(self) -> Shard | None:
        if self._returned:
            return self._returned.popleft()
        if self._feed.is_exhausted:
            return None
        try:
            return self._feed.take()
        except PercoreError as error:
            self._stop_for(error)
            return None

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

    # Stopping

    def _obey(self, step: int) -> None:
        """Take the steps of stopping that signals, or the clock, ask for."""
        now_s = time.monotonic()
        if self._kill_at_s is not None and now_s >= self._kill_at_s:
            step = STEP_KILL
        if step <= self._step:
            return
        if self._step < STEP_DRAIN <= step < STEP_CANCEL:
            self._progress.say(
                f"fetch-batch: draining: what is in flight may end within {self._drain_limit_s:g} s; "
                "ctrl-C again lets go of it"
            )
            self._drain(self._drain_limit_s, now_s, _DRAIN_GRACE_S)
        elif step == STEP_CANCEL:
            self._progress.say("fetch-batch: letting go of what is in flight")
            self._drain(0.0, now_s, _CANCEL_GRACE_S)
        else:
            for child in self._children:
                child.kill()
            self._kill_at_s = None
        self._step = step

    def _drain(self, limit_s: float, now_s: float, grace_s: float) -> None:
        for child in self._children:
            child.send(Drain(limit_s))
            if not child.is_ready:
                # It hears nothing before it has imported all, and has nothing in hand that it could lose.
                child.kill()
        kill_at_s = now_s + limit_s + grace_s
        self._kill_at_s = kill_at_s if self._kill_at_s is None else min(self._kill_at_s, kill_at_s)

    def _suspend(self) -> None:
        paused_s = suspend(self._signals, self._progress, self._children)
        if self._kill_at_s is not None:
            self._kill_at_s += paused_s

    def _stop_for(self, problem: PercoreError) -> None:
        """Go no further, because of `problem`; the first one counts."""
        if self._problem is None:
            self._problem = problem
            self._drain(0.0, time.monotonic(), _FAULT_GRACE_S)

    def _patience_s(self) -> float:
        """How long the loop may wait for something to happen."""
        patience_s = min(self._progress.every_s, _LOOK_EVERY_S)
        if self._kill_at_s is None:
            return patience_s
        return max(0.0, min(patience_s, self._kill_at_s - time.monotonic()))
