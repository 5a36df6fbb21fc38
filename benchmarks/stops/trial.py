"""One trial: a batch on a terminal, ^C typed there once, twice or three times, and when what was seen.

Times are from the write of the byte to the terminal: to the read of the answer from it, or to the process's end as
the kernel tells it (pidfd). The one who types and reads runs on the same cores as the batch, and its own wait for one
of them is in the figures.
"""

from __future__ import annotations

import os
import random
import select
import signal
import threading
import time
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.stops.job import DRAIN_LIMIT_S, Job
from benchmarks.stops.scenarios import Ending, Scenario
from tests.support.processes import session_pids, wait_until
from tests.support.terminal import Terminal, running_on_terminal

CTRL_C = b"\x03"

# In which a person sees that it drains, and grows impatient.
_IMPATIENT_S = DRAIN_LIMIT_S / 2
_END_AT_MOST_S = DRAIN_LIMIT_S + 30.0


class Trial(Struct, frozen=True):
    """What came of one. Seconds; None for what did not happen.

    said_s    first ^C to "draining" on the terminal
    limit_s   first ^C to the end, when no other was typed
    second_s  second ^C to the end, when it was the last;  third_s  third ^C to the end
    status    exit status, negative for a signal
    left      processes of its session that were still there at its end
    faults    what was wrong, in words; with the records, if the job was gone on with (`looked_at`)
    """

    scenario: str
    ending: Ending
    moment_s: float
    said_s: float | None = None
    limit_s: float | None = None
    second_s: float | None = None
    third_s: float | None = None
    status: int | None = None
    left: int = 0
    looked_at: bool = False
    faults: list[str] = []


class _Seen:
    """When which words were first on the terminal."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._pieces: list[tuple[bytes, float]] = []

    def add(self, data: bytes, now_s: float) -> None:
        with self._news:
            self._pieces.append((data, now_s))
            self._news.notify_all()

    def when(self, words: bytes, timeout_s: float) -> float | None:
        """Waits for them; None if they did not come in time."""
        with self._news:
            self._news.wait_for(lambda: self._find(words) is not None, timeout_s)
            return self._find(words)

    def _find(self, words: bytes) -> float | None:
        known = b""
        for data, now_s in self._pieces:
            known += data
            if words in known:
                return now_s
        return None


def run_trial(scenario: Scenario, job: Job, ending: Ending, chance: random.Random, *, look: bool) -> Trial:
    """Run it to its end; `look`: go on with the job afterwards, and look at its records."""
    moment_s = chance.uniform(0.0, scenario.moment_s)
    seen = _Seen()
    with running_on_terminal(job.command, env=job.busy, see=seen.add) as terminal:
        if scenario.starts:
            # Not before it has the terminal, which setsid(1) gives to it first: ^C would be for nobody.
            cmdline = Path(f"/proc/{terminal.process.pid}/cmdline")
            wait_until(lambda: cmdline.read_text().startswith(f"{job.command[0]}\0"), "it begins")
        else:
            wait_until(job.asked, "something is fetched")
        time.sleep(moment_s)
        trial = _stop(Trial(scenario.name, ending, moment_s), terminal, seen, chance, starts=scenario.starts)
    if look:
        return replace(trial, looked_at=True, faults=trial.faults + job.go_on())
    return trial


def _stop(trial: Trial, terminal: Terminal, seen: _Seen, chance: random.Random, *, starts: bool) -> Trial:
    pid = terminal.process.pid
    faults = []
    pidfd = os.pidfd_open(pid)
    try:
        typed_s = [_type(terminal)]
        said_s = None
        if not starts:
            said_s = seen.when(b"draining", _END_AT_MOST_S)
            if said_s is None:
                faults.append("never said that it drains")
        if said_s is not None and trial.ending != "limit" and not _ends(pidfd, chance.uniform(0.0, _IMPATIENT_S)):
            typed_s.append(_type(terminal))
            is_told = trial.ending == "third" and seen.when(b"letting go", _END_AT_MOST_S) is not None
            if is_told and not _ends(pidfd, chance.uniform(0.0, 0.1)):
                typed_s.append(_type(terminal))
        if not _ends(pidfd, _END_AT_MOST_S):
            faults.append(f"has not ended {_END_AT_MOST_S:g} s later")
        ended_s = time.monotonic()
        left = [other for other in session_pids(pid) if other != pid]
    finally:
        os.close(pidfd)
    if not faults:
        status = terminal.wait()
        # While Python itself starts there is nobody yet to make a status of the signal; a shell makes 130 of it.
        if status != 130 and not (starts and status == -signal.SIGINT):
            faults.append(f"ended with {status}")
        text = terminal.text
        if _is_ours(text) or (not starts and "nothing is lost, this goes on:" not in text):
            faults.append(f"said: {text[-2000:]}")
    took_s = ended_s - typed_s[-1]
    return replace(
        trial,
        said_s=None if said_s is None else said_s - typed_s[0],
        limit_s=took_s if len(typed_s) == 1 else None,
        second_s=took_s if len(typed_s) == 2 else None,
        third_s=took_s if len(typed_s) == 3 else None,
        status=terminal.process.returncode,
        left=len(left),
        faults=faults,
    )


def _is_ours(text: str) -> bool:
    """Whether a traceback is shown that we could have prevented: not one from before our first statement."""
    return "Traceback" in text and "workers" in text and "from __future__ import annotations" not in text


def _type(terminal: Terminal) -> float:
    now_s = time.monotonic()
    terminal.type(CTRL_C)
    return now_s


def _ends(pidfd: int, timeout_s: float) -> bool:
    """Whether the process ends within that time; waits so long for it."""
    return bool(select.select([pidfd], [], [], timeout_s)[0])
