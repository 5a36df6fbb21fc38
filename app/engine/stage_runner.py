"""Stage runner: one stage on one page, where it wants to run. What comes back is its value as JSON.

The law: the hub is never held for longer than a slice by a stage's Python code. "worker" stages share the hub's core
(app.cpu.scheduler), "thread" stages have native threads with the whole machine's mask (app.cpu.threads), "process"
stages isolated children (app.cpu.processes). A value is encoded where it was made, so that a large one costs the stage
its time and not the hub.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from gevent import GreenletExit

from app.cpu.own_doing import is_own_doing
from app.cpu.processes import Processes
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


class StageRunner:
    """For all hubs of this process; each has its own scheduler, threads and children, made when first needed."""

    def __init__(self, rules: StageRules, clock: Clock | None = None) -> None:
        self._rules = rules
        self._now_s = (clock or Clock()).monotonic_s
        # Mutable: of what runs elsewhere, by name and place: runs that came to a value, and their seconds, waiting
        # included. What a stage costs can't be read off the others: an import that fails is quick.
        self._elsewhere: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0])
        self._preempt: dict[str, bool] = {}

    def run(
        self, stage: Stage, page: Page, earlier: Mapping[str, msgspec.Raw | bytes], index: int, overseer: Overseer
    ) -> msgspec.Raw:
        """The stage's value. Yields to the hub.

        earlier  values of the stages before it
        index    of the request, for `overseer`

        Raises what the stage raises, TypeError for a value that is no JSON; StageTimeout; from a process StageRaised,
        StageCrashed; Draining at the process's end. GreenletExit and KeyboardInterrupt that are meant for the caller
        pass through; a stage that raises one of them, or Draining, by itself has raised like any other (StageRaised).
        """
        if stage.runs_in == "worker":
            self._preempt[stage.name] = stage.preempt
            return scheduler_of_this_hub(self._rules.slice_s).run(
                _value_in_worker,
                stage,
                page,
                earlier,
                index,
                overseer,
                name=stage.name,
                preempt=stage.preempt,
                cpu_budget_s=stage.cpu_budget_s,
                timeout_s=stage.timeout_s,
            )
        began_s = self._now_s()
        if stage.runs_in == "thread":
            value = self._threads().run(
                _value_in_thread, stage, page, earlier, index, overseer, timeout_s=stage.timeout_s, name=stage.name
            )
        else:
            argument = argument_of(stage, page, Earlier(earlier))
            value = msgspec.Raw(self._processes().run(CALL, *argument, timeout_s=stage.timeout_s, name=stage.name))
        use = self._elsewhere[stage.name, stage.runs_in]
        use[0] += 1
        use[1] += self._now_s() - began_s
        return value

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
            StageUse(name=name, runs_in=place, runs=int(runs), wall_s=wall_s)
            for (name, place), (runs, wall_s) in self._elsewhere.items()
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


def _value_of(
    stage: Stage, page: Page, earlier: Mapping[str, msgspec.Raw | bytes], index: int, overseer: Overseer
) -> msgspec.Raw:
    note = overseer.begins(index, stage.name)
    try:
        return encoded(stage.value_of(page, Earlier(earlier)) if stage.takes_earlier else stage.function(page))
    finally:
        overseer.ends(note)


def _value_in_worker(
    stage: Stage, page: Page, earlier: Mapping[str, msgspec.Raw | bytes], index: int, overseer: Overseer
) -> msgspec.Raw:
    try:
        return _value_of(stage, page, earlier, index, overseer)
    except (GreenletExit, KeyboardInterrupt, Draining) as error:
        if is_own_doing(error):
            raise StageRaised(text_of_error(error)) from error
        raise


def _value_in_thread(
    stage: Stage, page: Page, earlier: Mapping[str, msgspec.Raw | bytes], index: int, overseer: Overseer
) -> msgspec.Raw:
    try:
        return _value_of(stage, page, earlier, index, overseer)
    except (GreenletExit, KeyboardInterrupt, Draining) as error:
        raise StageRaised(text_of_error(error)) from error
