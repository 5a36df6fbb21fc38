"""`bin/bench turns`: a smoke run."""

from __future__ import annotations

import argparse

from benchmarks import turns


def test_each_way_has_its_figures() -> None:
    figures = turns.run(argparse.Namespace(rounds=2, count=100))
    assert set(figures["cpu_us"]) >= {"fetch", "requests", "adapter", "batch-sha256"}
    assert all(0 < of["lower"] <= of["median"] <= of["upper"] for of in figures["cpu_us"].values())
    assert set(figures["ratios"]) >= {"requests / adapter", "fetch / batch-sha256"}
    assert "requests / adapter" in turns.table(figures)
