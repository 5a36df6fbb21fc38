"""Exposition: samples as Prometheus reads them (its text format, version 0.0.4). Pure.

Of a family that no sample speaks of, nothing is written; with labels there is nothing to say 0 of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.telemetry.families import FAMILIES, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(samples: Iterable[Sample]) -> bytes:
    """The text, in the order of FAMILIES. Each family and labels at most once."""
    registry = CollectorRegistry()
    registry.register(_Samples(list(samples)))
    return generate_latest(registry)


class _Samples(Collector):
    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES.values():
            of_it = sorted((one for one in self._samples if one.family == family.name), key=lambda one: one.labels)
            if not of_it:
                continue
            kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            metric = kind(family.name, family.help, labels=family.labels)
            for one in of_it:
                metric.add_metric(one.labels, one.value)
            yield metric
