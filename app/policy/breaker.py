"""Circuit breaker: an origin that can't be reached costs a few attempts, not one for each of its requests.

M. Nygard, "Release It!", 2nd ed. 2018, chapter 5: **closed** while things go well; **open** after too many failures in
a row; **half-open** once a cool-down is over: one fetch, the probe, is let through, and what becomes of it decides.

The law:

- It opens after `failures` failures in a row that only the origin can cause (UNREACHABLE), or four times as many that
  a single resource could cause as well (BROKEN). Any answer, whatever its status, starts the count anew and closes it.
- The cool-down before the n-th probe is drawn from the upper half of base * 2**n, at most 60 s: growth for an origin
  that stays dead, jitter ("equal jitter", M. Brooker, AWS Architecture Blog, 2015) against a crowd of probes.
- While half-open, exactly one probe is out. A probe that is given up without a result makes room for another.
- It is **patient** for its first 3 probes: who comes meanwhile waits. So an origin that restarts costs its waiting
  requests nothing but time. From then on it **refuses**: who comes, and who waited, fails at once.

Pure: time and chance are handed in. Mutable state: one Breaker an origin.
"""

from __future__ import annotations

import math

import msgspec

PATIENT_PROBES = 3

UNREACHABLE = 4
"""Weight of a failure that only the origin can cause: no name, no connection, no TLS."""
BROKEN = 1
"""Weight of a failure that may be one resource's own: no answer in time, a connection lost."""

MAX_COOL_DOWN_S = 60.0


class BreakerRules(msgspec.Struct, frozen=True):
    """failures: in a row until it opens, 0 for never; cool_down_s: before the first probe, at most."""

    failures: int = 5
    cool_down_s: float = 1.0


class Breaker:
    """The circuit of one origin. Times are seconds on the caller's monotonic clock."""

    __slots__ = ("_is_probing", "_probes", "_rules", "_until_s", "_weight")

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self._weight = 0  # of the failures in a row
        self._probes = 0  # allowed since it opened, the next one included; 0 while closed
        self._until_s = -math.inf
        self._is_probing = False

    @property
    def is_closed(self) -> bool:
        """Whether it is in nobody's way."""
        return not self._probes

    @property
    def is_clean(self) -> bool:
        """Closed, and with no failure counted."""
        return not self._probes and not self._weight

    def wait_s(self, now_s: float) -> float:
        """Seconds until a fetch may begin, 0 for now, infinite while a probe is out."""
        if not self._probes:
            return 0.0
        if self._is_probing:
            return math.inf
        return max(0.0, self._until_s - now_s)

    def refuses(self, now_s: float) -> bool:
        """Whether a fetch that can't begin now is not to wait either."""
        return self._probes > PATIENT_PROBES and self.wait_s(now_s) > 0

    def begin(self) -> bool:
        """A fetch begins, `wait_s` having been 0; whether it is the probe. What it came to must then be told."""
        if not self._probes:
            return False
        self._is_probing = True
        return True

    def answered(self) -> None:
        """Some fetch had an answer: the origin is there."""
        self._weight = self._probes = 0
        self._is_probing = False

    def failed(self, weight: int, *, is_probe: bool, now_s: float, chance: float) -> None:
        """A fetch failed. weight: UNREACHABLE or BROKEN; chance: uniform in [0, 1)."""
        if is_probe:
            self._open(now_s, chance)
        elif not self._probes:
            self._weight += weight
            if 0 < self._rules.failures * UNREACHABLE <= self._weight:
                self._open(now_s, chance)
        # Else it began before the circuit opened, and says nothing new.

    def abandoned(self) -> None:
        """The probe ended without a result: it was killed, or failed of something that is not the origin's."""
        self._is_probing = False

    def _open(self, now_s: float, chance: float) -> None:
        limit_s = min(MAX_COOL_DOWN_S, self._rules.cool_down_s * 2.0 ** min(self._probes, 32))
        self._probes += 1
        self._until_s = now_s + limit_s * (1 + chance) / 2
        self._is_probing = False
