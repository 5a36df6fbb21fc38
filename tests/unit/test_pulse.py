from __future__ import annotations

import pytest

from workers.pulse import Pulse


class Over(Exception):
    """The test has seen enough."""


class Machine:
    """Clocks that are moved by hand; each sleep takes what the test says."""

    def __init__(self, *sleeps_s: float) -> None:
        self.now_s, self.cpu_s = 100.0, 10.0
        self._sleeps_s = list(sleeps_s)
        self.pulse = Pulse(lambda: self.now_s, lambda: self.cpu_s, self.sleep)

    def sleep(self, _: float) -> None:
        if not self._sleeps_s:
            raise Over
        self.now_s += self._sleeps_s.pop(0)


def test_the_hub_is_as_late_as_its_latest_beat() -> None:
    machine = Machine(0.05, 0.052, 0.08, 0.05)
    with pytest.raises(Over):
        machine.pulse.beat()
    assert machine.pulse.take()[1] == pytest.approx(0.03)
    assert machine.pulse.take()[1] == 0.0, "since the last time"


def test_cpu_is_a_share_of_the_last_second_or_more() -> None:
    machine = Machine()
    machine.now_s += 0.5
    machine.cpu_s += 0.5
    assert machine.pulse.take()[0] == 0.0, "too soon to tell"
    machine.now_s += 1.5
    machine.cpu_s += 1.0
    assert machine.pulse.take()[0] == pytest.approx(0.75)
    machine.now_s += 2.0
    assert machine.pulse.take()[0] == 0.0
