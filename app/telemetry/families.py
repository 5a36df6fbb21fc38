"""Families: every metric that a worker counts: its name, whether it is a counter or a gauge, its labels, what it is.

Names follow Prometheus' conventions (https://prometheus.io/docs/practices/naming/): a prefix, a unit in the plural, and
`_total` for what only grows.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Kind = Literal["counter", "gauge"]


class Family(Struct, frozen=True):
    """name    as it is written, a counter's `_total` included
    kind    a counter only grows, also over workers that have ended; a gauge is of those that live
    help    one line
    labels  names, in the order of a sample's values
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


class Sample(Struct, frozen=True):
    """One value of a family: `labels` has as many values as the family has labels."""

    family: str
    value: float
    labels: tuple[str, ...] = ()


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("percore_workers", "gauge", "Workers that have said something of themselves."),
        Family("percore_records_total", "counter", "Records given out, by error kind; ok has none.", ("kind",)),
        Family("percore_transfers_started_total", "counter", "Hops that were handed to libcurl."),
        Family("percore_transfers_failed_total", "counter", "Hops that failed by libcurl's word."),
        Family("percore_transfers_stopped_total", "counter", "Hops that were taken back before their end."),
        Family("percore_transfers_in_flight", "gauge", "Hops that libcurl is at."),
        Family("percore_connections_opened_total", "counter", "Sockets opened to origins and proxies."),
        Family("percore_answers_total", "counter", "Answers, by protocol.", ("protocol",)),
        Family("percore_look_ups_total", "counter", "Names that were looked up."),
        Family("percore_fetches_in_flight", "gauge", "Requests that hold a place at their origin."),
        Family("percore_fetches_waiting", "gauge", "Requests that wait for a place."),
        Family("percore_circuits_open", "gauge", "Origins that are taken for dead."),
        Family("percore_stage_runs_total", "counter", "Pages that a stage has ended with.", ("stage", "runs_in")),
        Family("percore_stage_cpu_seconds_total", "counter", "CPU time of a stage in the worker.", ("stage",)),
        Family(
            "percore_stage_wall_seconds_total",
            "counter",
            "Time of a stage in a thread or process, its waiting included.",
            ("stage", "runs_in"),
        ),
        Family("percore_stage_held_seconds", "gauge", "For how long a stage held the hub, at p99.", ("stage",)),
        Family(
            "percore_stage_advice",
            "gauge",
            "Workers whose own figures advise another place for a stage.",
            ("stage", "runs_in", "better"),
        ),
        Family("percore_slices_total", "counter", "Slices of CPU stages, by what ended them.", ("end",)),
        Family("percore_slices_postponed_total", "counter", "Slices that could not be ended yet, by why.", ("reason",)),
        Family("percore_stages_waiting", "gauge", "CPU stages in line for the core."),
        Family("percore_stage_timeouts_total", "counter", "CPU stages that used more than their budget."),
    )
}
