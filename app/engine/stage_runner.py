"""Stage runner: one stage on one page, where it wants to run. What comes back is its value as JSON.

The law: the hub is never held for longer than a slice by a stage's Python code. "worker" stages share the hub's core
(app.cpu.scheduler), "thread" stages have native threads with the whole machine's mask (app.cpu.threads), "process"
stages isolated children (app.cpu.processes). A value is encoded where it was made, so that a large one costs the stage
its time and not the hub.

What is the same for every page of a job is worked out once: a stage is bound, and what is bound is called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from gevent import GreenletExit

from app.cpu.own_doing import is_own_doing
from app.cpu.processes import Processes
from app.cpu.scheduler import Scheduler
from app.cpu.sliced import scheduler_of_this_hub
from app.cpu.statistics import SchedulerStatistics
from app.cpu.threads import NativeThreads
from app.engine.overseer import Overseer
from app.engine.stage_errors import text_of_error
from app.engine.stage_rules import StageRules
from app.errors import Draining, StageRaised, StageTimeout
from app.fetching.page import Page
from app.hub.clock import Clock
from app.hub.per_hub import of_this_hub
from app.policy.advice import StageUse
from app.stages.base import Stage
from app.stages.crossing import CALL, argument_of
from app.stages.values import Earlier, encoded

EarlierJson = Mapping[str, msgspec.Raw | bytes]

BoundStage = Callable[[Page, EarlierJson, int], msgspec.Raw]
"""(page, values of the stages before it, index of the request) -> the stage's value. For greenlets of one hub, to which
it yields.

Raises what the stage raises, TypeError for a value that is no JSON; StageTimeout; from a process StageRaised,
StageCrashed; Draining at the process's end. GreenletExit and KeyboardInterrupt that are meant for the caller pass
through; a stage that raises one of them, or Draining, by itself has raised like any other (StageRaised).
"""


class _Use:
    """Of one stage elsewhere: see StageUse. Mutable."""

    runs = valued = 0
    wall_s = valued_s = 0.0

    def note(self, seconds: float, *, has_value: bool) -> None:
        self.runs += 1
        self.wall_s += seconds
        if has_value:
            self.valued += 1
            self.valued_s += seconds


class StageRunner:
    """For all hubs of this process; each has its own scheduler, threads and children, made when first needed."""

    def __init__(self, rules: StageRules, clock: Clock | None = None) -> None:
        self._rules = rules
        self._now_s = (clock or Clock()).monotonic_s
        self._elsewhere: defaultdict[tuple[str, str], _Use] = defaultdict(_Use)  # by name and place
        self._preempt: dict[str, bool] = {}

    def bound(self, stage: Stage, overseer: Overseer) -> BoundStage:
        """The stage, ready to run on pages, with `overseer` looking on."""
        if stage.runs_in == "worker":
            self._preempt[stage.name] = stage.preempt
            return _in_worker(stage, overseer, self._rules.slice_s)
        if stage.runs_in == "thread":
            in_thread = self._measured(stage, self._in_thread(stage, overseer))
            return _inline(stage, overseer, self._rules.slice_s, in_thread) if stage.inline_bytes else in_thread
        return self._measured(stage, self._in_process(stage))

    def _in_thread(self, stage: Stage, overseer: Overseer) -> BoundStage:
        value_of = _value_of(stage, overseer, lambda error: True)
        timeout_s, name = stage.timeout_s, stage.name

        def run(page: Page, earlier: EarlierJson, index: int) -> msgspec.Raw:
            return self._threads().run(value_of, page, earlier, index, timeout_s=timeout_s, name=name)

        return run

    def _in_process(self, stage: Stage) -> BoundStage:
        def run(page: Page, earlier: EarlierJson, index: int) -> msgspec.Raw:
            argument = argument_of(stage, page, Earlier(earlier))
            return msgspec.Raw(self._processes().run(CALL, *argument, timeout_s=stage.timeout_s, name=stage.name))

        return run

    def _measured(self, stage: Stage, run: BoundStage) -> BoundStage:
        """The same, counted in `uses`, unless it is given up with the process or its greenlet."""
        now_s, uses, key = self._now_s, self._elsewhere, (stage.name, stage.runs_in)

        def run_measured(page: Page, earlier: EarlierJson, index: int) -> msgspec.Raw:
            began_s = now_s()
            try:
                value = run(page, earlier, index)
            except Draining:
                raise
            except Exception:
                uses[key].note(now_s() - began_s, has_value=False)
                raise
            uses[key].note(now_s() - began_s, has_value=True)
            return value

        return run_measured

    def aside(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call what is no stage and releases the GIL, in a native thread. Yields to the hub.

        Its threads are not those of stages, which stages may keep for ever. So there is one, or will be, unless the
        system gives us no thread at all: then it is called here, for what it does must be done.
        """
        try:
            return self._threads("aside").run(function, *args)
        except StageTimeout:
            return function(*args)

    def scheduler_statistics(self) -> SchedulerStatistics:
        """Of the scheduler of this hub."""
        return scheduler_of_this_hub(self._rules.slice_s).statistics()

    def uses(self) -> list[StageUse]:
        """What the stages have used since the beginning, by stage: worker stages of this hub, others of all hubs."""
        worker = self.scheduler_statistics()
        found = [
            StageUse(
                name=name,
                runs_in="worker",
                runs=use.runs,
                cpu_s=use.cpu_s,
                held=use.held,
                preempt=self._preempt.get(name, True),
            )
            for name, use in worker.uses.items()
        ]
        found += [
            StageUse(
                name=name,
                runs_in=place,
                runs=use.runs,
                wall_s=use.wall_s,
                valued=use.valued,
                valued_s=use.valued_s,
            )
            for (name, place), use in self._elsewhere.items()
        ]
        return found

    def _threads(self, purpose: str = "stages") -> NativeThreads:
        rules = self._rules
        return of_this_hub(
            (NativeThreads, purpose, rules.native_threads),
            lambda: NativeThreads(threads=rules.native_threads, wide_cpus=rules.wide_cpus, queue=rules.native_threads),
        )

    def _processes(self) -> Processes:
        rules = self._rules
        return of_this_hub(
            (Processes, rules.stage_processes),
            lambda: Processes(children=rules.stage_processes, wide_cpus=rules.wide_cpus),
        )


def _in_worker(stage: Stage, overseer: Overseer, slice_s: float) -> BoundStage:
    value_of = _value_of(stage, overseer, is_own_doing)
    name, preempt, cpu_budget_s, timeout_s = stage.name, stage.preempt, stage.cpu_budget_s, stage.timeout_s
    scheduler: Scheduler | None = None

    def run(page: Page, earlier: EarlierJson, index: int) -> msgspec.Raw:
        nonlocal scheduler
        if scheduler is None or scheduler.is_closed:
            scheduler = scheduler_of_this_hub(slice_s)
        return scheduler.run(
            value_of,
            page,
            earlier,
            index,
            name=name,
            preempt=preempt,
            cpu_budget_s=cpu_budget_s,
            timeout_s=timeout_s,
        )

    return run


def _inline(stage: Stage, overseer: Overseer, slice_s: float, larger: BoundStage) -> BoundStage:
    """In the worker where the body is so small that a slice would cost more than the work; else `larger`."""
    value_of = _value_of(stage, overseer, is_own_doing)
    name, inline_bytes = stage.name, stage.inline_bytes
    scheduler: Scheduler | None = None

    def run(page: Page, earlier: EarlierJson, index: int) -> msgspec.Raw:
        nonlocal scheduler
        if len(page.body) > inline_bytes:
            return larger(page, earlier, index)
        if scheduler is None or scheduler.is_closed:
            scheduler = scheduler_of_this_hub(slice_s)
        return scheduler.run_short(value_of, page, earlier, index, name=name)

    return run


def _value_of(stage: Stage, overseer: Overseer, is_own_doing: Callable[[BaseException], bool]) -> BoundStage:
    """The stage as it is called where it runs.

    is_own_doing  whether the stage itself raised what would end a greenlet
    """
    function, takes_earlier, name = stage.function, stage.takes_earlier, stage.name
    begins, ends = overseer.begins, overseer.ends

    def value_of(page: Page, earlier: EarlierJson, index: int) -> msgspec.Raw:
        note = begins(index, name)
        try:
            return encoded(function(page, Earlier(earlier)) if takes_earlier else function(page))
        except (GreenletExit, KeyboardInterrupt, Draining) as error:
            if is_own_doing(error):
                raise StageRaised(text_of_error(error)) from error
            raise
        finally:
            ends(note)

    return value_of
