"""Slots: when a request's fetch may begin: how many an origin gets at once, at which distance, and all together.

What an origin may be asked is decided in `app.policy.politeness`; here requests wait for it.

The order: first come, first served at one origin, a repeated attempt before new requests. When there are not enough
permits for all origins, those that want one get it in turn, one each. Who waits for a permit holds none, and who has
one waits for nobody's permit, so nothing can lock up.

How long a slot lives is `app.fetching.slot_table`'s affair.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict

import msgspec

from app.errors import Draining, FetchError
from app.fetching.permit import GO, STOP, End, Permit, Slot, Verdict
from app.fetching.slot_table import SlotTable
from app.hub.clock import Clock
from app.model.outcome import ErrorKind
from app.policy.politeness import PolitenessRules
from app.policy.urls import Origin

_log = logging.getLogger("percore.fetching")


class SlotStatistics(msgspec.Struct, frozen=True):
    """A snapshot.

    origins     slots alive, the remembered ones included
    users       greenlets that hold or await a permit
    in_flight   those that hold one: they may fetch, or pause before they try again
    remembered  idle origins whose delay, embargo or trouble is not over
    open        origins whose circuit is open
    """

    origins: int
    users: int
    in_flight: int
    remembered: int
    open: int


class Slots:
    """All slots of one hub.

    rules  what holds for every origin
    total  fetches that all origins together may have in flight; None is no limit
    """

    def __init__(self, rules: PolitenessRules, total: int | None = None, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._now_s = self._clock.monotonic_s
        # Mutable state, changed in this hub's thread only, and never across a switch.
        self._table = SlotTable(rules)
        self._total: float = math.inf if total is None else total
        # Slots where somebody could begin, but for the total. As soon as a permit is free they get it (`_feed`), so
        # there are none while any is.
        self._starved: OrderedDict[Slot, None] = OrderedDict()
        self._in_flight = self._waiting = 0
        self._is_draining = False

    def hold(self, origin: Origin, crawl_delay_s: float = 0.0) -> Permit:
        """A context: waits for a permit at `origin` and in all, in turn, which are kept until the end of the block.

        crawl_delay_s  what the origin's robots.txt asks for, 0 for nothing

        To be called in the `with` statement itself. Yields to the hub if there is anything to wait for. Raises Draining
        after `drain`, and FetchError CIRCUIT_OPEN when the origin is not to be asked. Who is killed while waiting
        leaves nothing behind.
        """
        if self._is_draining:
            raise Draining("no more fetches are begun")
        now_s = self._now_s()
        slot = self._table.slot_of(origin, now_s)
        state = slot.state
        if crawl_delay_s:
            state.raise_delay(crawl_delay_s)
        permit = Permit(self, slot, now_s)
        if (
            not slot.queue
            and slot.in_flight < state.limit
            and self._in_flight < self._total  # and so nobody is starved
            and (state.is_unbound or state.wait_s(now_s) <= 0)
        ):
            slot.in_flight += 1
            self._in_flight += 1
            permit.begin(now_s)
        else:
            self._wait_for_turn(permit)
        return permit

    def drain(self) -> None:
        """From now on nobody gets a permit: who holds one keeps it, who waits or comes later is sent away."""
        self._is_draining = True
        self._starved.clear()
        for slot in self._table:
            for permit in slot.take_all():
                permit.end(Draining("no more fetches are begun"))
                self._waiting -= 1
            self._table.leave_alone(slot, self._now_s())

    def statistics(self) -> SlotStatistics:
        """Counts at this moment; all zero when nothing is in flight and no origin is in trouble."""
        self._table.forget(self._now_s())
        return SlotStatistics(
            origins=len(self._table),
            users=self._in_flight + self._waiting,
            in_flight=self._in_flight,
            remembered=self._table.remembered,
            open=self._table.open,
        )

    # Taking and giving back. From here on, what has no underscore is for permits only (`app.fetching.permit.Keeper`).

    def _wait_for_turn(self, permit: Permit) -> None:
        slot = permit.slot
        permit.stand_in(slot.queue)
        self._waiting += 1
        if len(slot.queue) == 1:  # behind others it is not its turn
            self._advance(slot)
        try:
            verdict = permit.wait()
        except BaseException:
            # Killed: in the line, or on the way from it with a permit already, or with a refusal.
            if permit.verdict is GO:
                self.leave(permit)
            else:
                if permit.verdict is None:
                    del slot.queue[permit]
                    self._waiting -= 1
                self._table.leave_alone(slot, self._now_s())
            raise
        if not isinstance(verdict, End):
            self._table.leave_alone(slot, self._now_s())
            raise verdict
        permit.entered_s = self._now_s()
        slot.state.resumed(permit.entered_s)

    def leave(self, permit: Permit) -> None:
        """Give the permit to whoever is next. Never switches."""
        slot = permit.slot
        if permit.is_probe:
            permit.is_probe = False
            slot.state.abandoned()
        state = slot.state
        if slot.queue and state.is_unbound and slot.in_flight <= state.limit and not slot.again and not self._starved:
            # The usual case of who is waited for: the next in line takes it over.
            heir, _ = slot.queue.popitem(last=False)
            self._waiting -= 1
            heir.begin(self._now_s())
            heir.end(GO)
            return
        slot.in_flight -= 1
        self._in_flight -= 1
        if slot.queue or slot.again:
            self._advance(slot)
        if self._starved:
            self._feed()
        if not slot.in_flight:
            self._table.leave_alone(slot, self._now_s())

    # Whose turn it is

    def _advance(self, slot: Slot) -> None:
        """Let everybody at `slot` begin who may."""
        while slot.queue or slot.again:
            if self._starved and not slot.again:
                # Others waited for a permit before: this slot stands at their end.
                self._starved.setdefault(slot)
                self._feed()
                return
            if not self._begin_next(slot):
                return

    def _feed(self) -> None:
        """Give free permits to the slots that want one, in turn."""
        while self._starved and self._in_flight < self._total:
            slot, _ = self._starved.popitem(last=False)
            if self._begin_next(slot) and slot.queue:
                self._starved[slot] = None

    def _begin_next(self, slot: Slot) -> bool:
        """Let the next one at `slot` begin, if it may now; whether one did. Sees to it that this is called again."""
        if not slot.queue and not slot.again:
            return False
        state, now_s = slot.state, self._now_s()
        if not state.is_unbound:
            wait_s = state.wait_s(now_s)
            if wait_s > 0:
                if state.refuses(now_s):
                    self._refuse(slot)
                elif wait_s < math.inf:
                    self._call_at(slot, now_s + wait_s)
                return False
        if slot.again:
            permit, _ = slot.again.popitem(last=False)
        elif slot.in_flight >= state.limit:
            return False
        elif self._in_flight >= self._total:
            self._starved.setdefault(slot)
            return False
        else:
            permit, _ = slot.queue.popitem(last=False)
            self._waiting -= 1
            slot.in_flight += 1
            self._in_flight += 1
        permit.begin(now_s)
        permit.end(GO)
        return True

    def _refuse(self, slot: Slot) -> None:
        """Send away who waits or pauses: the origin is taken for dead."""
        for permit in slot.take_all():
            permit.end(self._circuit_open(slot))
            self._waiting -= 1
        for permit in (*slot.again, *slot.pausing):
            permit.end(STOP)
        slot.again.clear()
        slot.pausing.clear()

    def _circuit_open(self, slot: Slot) -> FetchError:
        return FetchError(
            ErrorKind.CIRCUIT_OPEN, f"{slot.origin} is left alone, it failed too often; last {slot.state.last_failure}"
        )

    def _call_at(self, slot: Slot, moment_s: float) -> None:
        """One timer a slot, for the first in its line."""
        if slot.cancel_timer is not None:
            if slot.timer_s <= moment_s:
                return  # it will look again
            slot.cancel_timer()

        def fire() -> None:
            slot.cancel_timer = None
            self._advance(slot)

        slot.timer_s = moment_s
        slot.cancel_timer = self._clock.start_timer(moment_s - self._now_s(), fire)

    # Between the attempts of one request

    def pause(self, permit: Permit, wait_s: float, limit_s: float) -> bool:
        """See `Permit.pause`."""
        slot = permit.slot
        state, now_s = slot.state, self._now_s()
        until_s = now_s + limit_s
        turn_s = state.wait_s(now_s)
        if wait_s >= limit_s or state.refuses(now_s) or limit_s <= turn_s < math.inf:
            return False
        if not self._wait_in(slot.pausing, permit, wait_s, GO):
            return False
        now_s = self._now_s()
        if not slot.again and (state.is_unbound or state.wait_s(now_s) <= 0):
            permit.begin(now_s)
            return True
        if not self._wait_in(slot.again, permit, until_s - now_s, STOP):
            return False
        state.resumed(self._now_s())
        return True

    def _wait_in(self, line: OrderedDict[Permit, None], permit: Permit, limit_s: float, at_limit: Verdict) -> bool:
        """Wait in `line` until somebody ends it, for `limit_s` at most, and then with `at_limit`; whether to go on."""
        permit.stand_in(line)

        def fire() -> None:
            if permit.verdict is None:
                del line[permit]
                permit.end(at_limit)

        cancel = self._clock.start_timer(limit_s, fire)
        if line is permit.slot.again:
            self._advance(permit.slot)
        try:
            return permit.wait() is GO
        finally:
            cancel()
            line.pop(permit, None)

    # What was learnt

    def answered(self, permit: Permit, status: int, retry_after_s: float | None) -> None:
        """See `Permit.answered`."""
        slot = permit.slot
        was_closed = slot.state.is_circuit_closed
        slot.state.answered(status, retry_after_s, window=permit.window, now_s=self._now_s())
        permit.is_probe = False
        if not was_closed:
            self._table.open -= 1
            _log.debug("%s answers again", slot.origin)
        if slot.queue or slot.again:
            self._advance(slot)

    def failed(self, permit: Permit, error: FetchError) -> None:
        """See `Permit.failed`."""
        slot = permit.slot
        was_closed = slot.state.is_circuit_closed
        now_s = self._now_s()
        slot.state.failed(
            error.kind,
            str(error),
            window=permit.window,
            is_probe=permit.is_probe,
            now_s=now_s,
            chance=self._clock.chance(),
            is_local=error.is_local,
        )
        permit.is_probe = False
        is_closed = slot.state.is_circuit_closed
        self._table.open += was_closed - is_closed
        if was_closed and not is_closed:
            _log.debug("%s is left alone for a while: %s", slot.origin, slot.state.last_failure)
        if slot.state.refuses(now_s):
            self._refuse(slot)
        elif slot.queue or slot.again:
            self._advance(slot)
