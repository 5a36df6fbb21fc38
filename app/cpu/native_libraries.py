"""Native libraries that start threads of their own (BLAS, OpenMP): how many, and on which CPUs.

The law, measured in docs/decisions/0014: such a library looks at the mask of the thread that LOADS it. OpenBLAS on
one CPU starts no threads, whatever OPENBLAS_NUM_THREADS says, and those that it is told to start later by a pinned
thread share its one CPU, which is slower than none. So, in this order:

1. `set_thread_counts` before anything is imported that could load one;
2. import such code inside `wide_for_a_while` (app.cpu.wide_mask);
3. `widen_native_threads` afterwards, for what was loaded earlier and has threads that are pinned.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, MutableMapping

from app.cpu.wide_mask import widen

# What the libraries read, each once, when they are loaded. OpenMP's own comes first: OpenBLAS and MKL follow it too.
_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


def set_thread_counts(threads: int, environ: MutableMapping[str, str] = os.environ) -> tuple[str, ...]:
    """Have native libraries that are loaded from now on, here and in processes started from here, use that many
    threads for one call. Returns the variables that were set: what the operator has set stays.

    threads  at least 1. With as many threads of ours as CPUs, 1 does best when calls are many, the number of CPUs
             when they are few and long.
    """
    if threads < 1:
        raise ValueError("threads must be above 0")
    ours = tuple(name for name in _VARIABLES if not environ.get(name, "").strip())
    for name in ours:
        environ[name] = str(threads)
    return ours


def widen_native_threads(wide_cpus: Collection[int], keep: Collection[int] = ()) -> int:
    """Widen every thread of this process but the calling one and `keep` (native ids: the threads of other hubs).
    Returns how many had a narrower mask. Reads /proc; under 1 ms for a hundred threads; does not yield.
    """
    ours = {threading.get_native_id(), *keep}
    found = 0
    for entry in os.listdir("/proc/self/task"):
        thread_id = int(entry)
        if thread_id in ours:
            continue
        try:
            is_narrower = not os.sched_getaffinity(thread_id).issuperset(wide_cpus)
        except OSError:
            continue  # it has ended
        if is_narrower:
            widen(wide_cpus, thread_id)
            found += 1
    return found
