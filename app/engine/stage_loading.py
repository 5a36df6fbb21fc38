"""Stage loading: stages by their names, in a way that does the native libraries in them justice.

Libraries that start threads of their own look at the mask of the thread that loads them, and at the environment, once
(app.cpu.native_libraries). So they are loaded with the whole machine's mask, which is given back afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from app.cpu.native_libraries import set_thread_counts, widen_native_threads
from app.cpu.wide_mask import wide_for_a_while
from app.engine.stage_rules import StageRules
from app.stages.base import Stage
from app.stages.registry import are_loaded, resolve


def load_stages(wanted: Iterable[str], rules: StageRules, *, import_paths: bool = False) -> tuple[Stage, ...]:
    """As app.stages.registry.resolve. What was not used before is imported, which holds the hub meanwhile."""
    wanted = tuple(wanted)
    if are_loaded(wanted):
        return resolve(wanted)
    before = len(sys.modules)
    set_thread_counts(rules.library_threads)
    with wide_for_a_while(rules.wide_cpus):
        stages = resolve(wanted, import_paths=import_paths)
    if len(sys.modules) > before:
        widen_native_threads(rules.wide_cpus)
    return stages
