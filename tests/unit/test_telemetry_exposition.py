"""Exposition: what a Prometheus parser reads from it is what was put in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.exposition import exposition
from app.telemetry.families import FAMILIES, Sample
from app.telemetry.sums import counters_of


def read(samples: list[Sample]) -> dict[tuple[str, tuple[str, ...]], float]:
    text = exposition(samples).decode()
    return {
        (one.name, tuple(one.labels[label] for label in FAMILIES[one.name].labels)): one.value
        for metric in text_string_to_metric_families(text)
        for one in metric.samples
    }


# What the format escapes, what it is made of, and what is none of it.
AWKWARD = 'a"\\\n ,={}#\x00\u00e9\u2028'

samples = st.sampled_from(sorted(FAMILIES)).flatmap(
    lambda name: st.builds(
        Sample,
        st.just(name),
        st.floats(0, 1e15),
        st.tuples(*[st.text(AWKWARD, max_size=6) for _ in FAMILIES[name].labels]),
    )
)


@given(st.lists(samples, unique_by=lambda one: (one.family, one.labels)))
def test_everything_comes_back(samples: list[Sample]) -> None:
    assert read(samples) == {(one.family, one.labels): one.value for one in samples}


def test_it_says_what_each_is() -> None:
    text = exposition([Sample("percore_workers", 2), Sample("percore_records_total", 3, ("ok",))]).decode()
    assert text.splitlines() == [
        "# HELP percore_workers Workers that have said something of themselves.",
        "# TYPE percore_workers gauge",
        "percore_workers 2.0",
        "# HELP percore_records_total Records given out, by error kind; ok has none.",
        "# TYPE percore_records_total counter",
        'percore_records_total{kind="ok"} 3.0',
    ]


def test_names_follow_the_conventions() -> None:
    for name, family in FAMILIES.items():
        assert name == family.name
        assert name.endswith("_total") == (family.kind == "counter")
        assert family.help.endswith(".")


def test_gauges_do_not_outlive_their_worker() -> None:
    assert counters_of([Sample("percore_workers", 1), Sample("percore_look_ups_total", 1)]) == [
        Sample("percore_look_ups_total", 1)
    ]
