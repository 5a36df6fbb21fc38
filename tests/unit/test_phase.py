from __future__ import annotations

import pytest

from app.errors import Interrupted
from workers.phase import FETCHING, Phase, PhaseState


def test_how_far_it_is() -> None:
    phase = Phase()
    assert phase.state == FETCHING
    phase.begin("unpacking", "out.parquet", 4)
    assert phase.state == PhaseState("unpacking", "out.parquet", 0.0)
    phase.step()
    assert phase.state.share == 0.25
    shares = [phase.state.share for _ in phase.counted("abc")]
    assert shares == [0.25, 0.5, 0.75]
    assert phase.state.share == 1.0
    phase.step()
    assert phase.state.share == 1.0, "there was more than it was told"
    phase.begin("assembling", "out.parquet", 0)
    assert phase.state.share is None


def test_once_stopped_nothing_more_is_done() -> None:
    phase = Phase()
    phase.begin("unpacking", "out", 3)
    items = phase.counted("abc")
    assert next(items) == "a"
    phase.stop()
    with pytest.raises(Interrupted):
        next(items)
    with pytest.raises(Interrupted):
        phase.step()
    with pytest.raises(Interrupted):
        phase.begin("assembling", "out", 1)
