"""Progress view: one moment of a batch as the lines of a terminal. Pure: what is drawn, not how."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from workers.phase import FETCHING, PhaseName, PhaseState
from workers.screen import Line, Span
from workers.summary import OriginUse
from workers.tally import WorkerState

_BAR_CHARACTERS = 20

# Pieces of the first line as a narrow window leaves them out.
_LEAST_FIRST = ("bar", "in flight", "share", "rate", "left", "failed")

# Below this, columns of figures don't stand under each other.
_NARROW_COLUMNS = 64
_KINDS_SHOWN = 5

# In words, before an output's name.
_PHASES: dict[PhaseName, str] = {
    "unpacking": "unpacking",
    "dropping": "taking failures out of",
    "assembling": "assembling",
}
_ORIGINS_SHOWN = 3


class Snapshot(msgspec.Struct, frozen=True):
    """One moment of a batch.

    total     records that there will be, None while that is not known
    expected  the same, judged by what has been read of the input; None when that can't be told
    rate      records per second, of late
    eta_s     seconds to the end, None while that can't be told
    kinds     failed records by error kind, most first
    slowest   origins that most time went to, most first
    phase     what is being done
    """

    done: int
    ok: int
    failed: int
    in_flight: int
    total: int | None
    rate: float
    eta_s: float | None
    elapsed_s: float
    expected: float | None = None
    kinds: dict[str, int] = {}
    workers: Sequence[WorkerState] = ()
    slowest: Sequence[OriginUse] = ()
    phase: PhaseState = FETCHING


def words(snapshot: Snapshot) -> str:
    """It in one plain line."""
    if snapshot.phase.name != "fetching":
        phase = snapshot.phase
        return f"{_PHASES[phase.name]} {phase.output}: {_percent(phase.share).strip() or 'begun'}"
    of = f" of {snapshot.total:,}" if snapshot.total is not None else ""
    return (
        f"{snapshot.done:,}{of} done, {snapshot.failed:,} failed, {snapshot.in_flight:,} in flight, "
        f"{snapshot.rate:,.0f}/s, ETA {duration(snapshot.eta_s)}"
    )


def picture(snapshot: Snapshot, rows: int, *, columns: int = 1000, plain: bool) -> list[Line]:
    """It in up to `rows` lines. plain: characters of ASCII only.

    columns  of the window: a narrow one is shown less, least of all what matters least; whoever draws cuts the rest
    """
    if snapshot.phase.name != "fetching":
        return [_phase_line(snapshot.phase, columns, plain)]
    first = _bar_line(snapshot, columns, plain)
    is_narrow = columns < _NARROW_COLUMNS
    last = [line for line in (_kinds_line(snapshot, is_narrow), _slowest_line(snapshot, is_narrow)) if line]
    workers = [_worker_line(state, is_narrow) for state in snapshot.workers]
    room = max(0, rows - 1 - len(last))
    if len(workers) > room:
        shown = max(0, room - 1)
        workers = [*workers[:shown], _more_line(snapshot.workers[shown:], is_narrow)][:room]
    return [first, *workers, *last][: max(1, rows)]


def duration(seconds: float | None) -> str:
    """Seconds as a clock shows them."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bar_line(snapshot: Snapshot, columns: int, plain: bool) -> Line:
    share = min(1.0, snapshot.done / snapshot.expected) if snapshot.expected else None
    of = f" of {snapshot.total:,}" if snapshot.total is not None else ""
    pieces: dict[str, Line] = {
        "bar": _bar(share or 0.0, plain),
        "share": [(f"{_percent(share)}  ", "")],
        "done": [(f"{snapshot.done:,}{of} done", "bold")],
        "failed": [("  ", ""), (f"{snapshot.failed:,} failed", "red" if snapshot.failed else "dim")],
        "in flight": [(f"  {snapshot.in_flight:,} in flight", "")],
        "rate": [("  ", ""), (f"{snapshot.rate:,.0f}/s", "cyan")],
        "left": [(f"  ETA {duration(snapshot.eta_s)}", "")],
    }
    for name in _LEAST_FIRST:
        if sum(len(text) for line in pieces.values() for text, _ in line) <= columns:
            break
        del pieces[name]
    return [span for line in pieces.values() for span in line]


def _phase_line(phase: PhaseState, columns: int, plain: bool) -> Line:
    told: Line = [(f"{_percent(phase.share)}  ", ""), (_PHASES[phase.name], "bold"), (f" {phase.output}", "")]
    bar = _bar(phase.share or 0.0, plain)
    has_room = sum(len(text) for text, _ in (*bar, *told)) <= columns
    return [*bar, *told] if has_room else told


def _bar(share: float, plain: bool) -> Line:
    full = int(share * _BAR_CHARACTERS)
    done, rest = ("#", ".") if plain else ("█", "░")
    return [(done * full, "green"), (rest * (_BAR_CHARACTERS - full), "dim"), (" ", "")]


def _percent(share: float | None) -> str:
    return "    " if share is None else f"{share:4.0%}"


def _worker_line(state: WorkerState, is_narrow: bool) -> Line:
    name = f"core {state.core}" if state.core is not None else f"worker {state.pid}"
    return _state_line(name, state.in_flight, state.cpu, state.late_s, is_narrow)


def _more_line(rest: Sequence[WorkerState], is_narrow: bool) -> Line:
    return _state_line(
        f"and {len(rest)} more",
        sum(state.in_flight for state in rest),
        sum(state.cpu for state in rest),
        max((state.late_s for state in rest), default=0.0),
        is_narrow,
    )


def _state_line(name: str, in_flight: int, cpu: float, late_s: float, is_narrow: bool) -> Line:
    flying, load = (f"{in_flight:,}", f"{cpu:.0%}") if is_narrow else (f"{in_flight:>6,}", f"{cpu:>5.0%}")
    return [_label(name, is_narrow), (f"{flying} in flight  {load} CPU  hub late {late_s * 1000:,.1f} ms", "")]


def _label(name: str, is_narrow: bool) -> Span:
    return (f"{name} " if is_narrow else f"  {name:<14}", "dim")


def _kinds_line(snapshot: Snapshot, is_narrow: bool) -> Line:
    if not snapshot.kinds:
        return ()
    shown = list(snapshot.kinds.items())[:_KINDS_SHOWN]
    spans: list[Span] = [_label("failed", is_narrow), (", ".join(f"{kind} {n:,}" for kind, n in shown), "")]
    if len(snapshot.kinds) > len(shown):
        spans.append((f", and {len(snapshot.kinds) - len(shown)} kinds more", ""))
    return spans


def _slowest_line(snapshot: Snapshot, is_narrow: bool) -> Line:
    # With one origin there is nothing to compare.
    if len(snapshot.slowest) < 2:
        return ()
    shown = ", ".join(
        f"{use.origin} {use.seconds / use.fetches:.3g} s x {use.fetches:,}" for use in snapshot.slowest[:_ORIGINS_SHOWN]
    )
    return [_label("most time", is_narrow), (shown, "")]
