"""Slots: when a request's fetch may begin: how many an origin gets at once, at which distance, and all together.

What an origin may be asked is decided in `app.policy.politeness`; here requests wait for it.

The order: first come, first served at one origin, a repeated attempt before new requests. When there are not enough
places for all origins, those that want one get it in turn, one each. Who waits for a place holds none, and who has one
waits for nobody's place, so nothing can lock up.

A slot lives while somebody has a place or waits for one. Afterwards its state is forgotten as soon as a new one would
do as well (`OriginState.forgettable_s`): at once for an origin in good health without a delay; else when delay, embargo
and trouble are over, each of which has an end. No more than MAX_REMEMBERED idle ones are kept; beyond, the one that
would be forgotten first makes room. So memory follows the origins in flight and the troubled ones of the last minutes,
never the number ever seen.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections import OrderedDict
from enum import Enum
from itertools import count

import msgspec
from gevent import get_hub
from gevent.hub import Waiter

from app.errors import Draining, FetchError
from app.fetching.clock import Cancel, Clock
from app.model.outcome import ErrorKind
from app.policy.politeness import OriginState, PolitenessRules
from app.policy.urls import Origin

_log = logging.getLogger("percore.fetching")

MAX_REMEMBERED = 100_000


class SlotStatistics(msgspec.Struct, frozen=True):
    """A snapshot.

    origins     slots alive, the remembered ones included
    users       greenlets that hold or await a place
    in_flight   those that hold one: they may fetch, or pause before they try again
    remembered  idle origins whose delay, embargo or trouble is not over
    open        origins whose circuit is open
    """

    origins: int
    users: int
    in_flight: int
    remembered: int
    open: int


class _End(Enum):
    GO = "begin"
    STOP = "what there is stands"


_GO = _End.GO
_STOP = _End.STOP
_Verdict = _End | FetchError | Draining


class Slots:
    """All slots of one hub.

    rules  what holds for every origin
    total  fetches that all origins together may have in flight; None is no limit
    """

    def __init__(self, rules: PolitenessRules, total: int | None = None, clock: Clock | None = None) -> None:
        self._rules = rules
        self._clock = clock or Clock()
        self._now_s = self._clock.monotonic_s
        # Mutable state, changed in this hub's thread only, and never across a switch.
        self._slots: dict[Origin, _Slot] = {}
        self._free: float = math.inf if total is None else total
        # Slots where somebody could begin, but for the total. As soon as a place is free they get it (`_feed`), so
        # there are none while any is.
        self._starved: OrderedDict[_Slot, None] = OrderedDict()
        self._idle: list[tuple[float, int, _Slot]] = []  # a heap by the moment of forgetting; some are stale
        self._order = count()
        self._in_flight = self._waiting = self._open = self._remembered = 0
        self._is_draining = False

    def hold(self, origin: Origin, crawl_delay_s: float = 0.0) -> Place:
        """A context: waits for a place at `origin` and in all, in turn, and keeps both for the block.

        crawl_delay_s  what the origin's robots.txt asks for, 0 for nothing

        Entering yields to the hub if there is anything to wait for. It raises Draining after `drain`, and FetchError
        CIRCUIT_OPEN when the origin is not to be asked. Who is killed while waiting leaves nothing behind.
        """
        return Place(self, origin, crawl_delay_s)

    def drain(self) -> None:
        """From now on nobody gets a place: who holds one keeps it, who waits or comes later is sent away."""
        self._is_draining = True
        self._starved.clear()
        for slot in list(self._slots.values()):
            for place in slot.take_all():
                place.end(Draining("no more fetches are begun"))
                self._waiting -= 1
            self._leave_alone(slot)

    def statistics(self) -> SlotStatistics:
        """Counts at this moment; all zero when nothing is in flight and no origin is in trouble."""
        self._forget(self._now_s())
        return SlotStatistics(
            origins=len(self._slots),
            users=self._in_flight + self._waiting,
            in_flight=self._in_flight,
            remembered=self._remembered,
            open=self._open,
        )

    # Taking and giving back

    def _enter(self, place: Place) -> None:
        if self._is_draining:
            raise Draining("no more fetches are begun")
        slot = self._slots.get(place.origin)
        now_s = self._now_s()
        if slot is None:
            if self._idle:
                self._forget(now_s)
            slot = self._slots[place.origin] = _Slot(place.origin, OriginState(self._rules))
        elif slot.is_remembered:
            slot.is_remembered = False
            self._remembered -= 1
        place.slot = slot
        state = slot.state
        if place.crawl_delay_s:
            state.raise_delay(place.crawl_delay_s)
        if (
            not slot.queue
            and slot.in_flight < state.limit
            and self._free > 0  # and so nobody is starved
            and (state.is_unbound or state.wait_s(now_s) <= 0)
        ):
            self._take(slot)
            place.begin(now_s)
            return
        place.stand_in(slot.queue)
        self._waiting += 1
        if len(slot.queue) == 1:  # behind others it is not its turn
            self._advance(slot)
        try:
            verdict = place.wait()
        except BaseException:
            # Killed: in the line, or on the way from it with a place already, or with a refusal.
            if place.verdict is _GO:
                self._leave(place)
            else:
                if place.verdict is None:
                    del slot.queue[place]
                    self._waiting -= 1
                self._leave_alone(slot)
            raise
        if not isinstance(verdict, _End):
            self._leave_alone(slot)
            raise verdict
        state.resumed(self._now_s())

    def _take(self, slot: _Slot) -> None:
        slot.in_flight += 1
        self._in_flight += 1
        self._free -= 1

    def _leave(self, place: Place) -> None:
        slot = place.slot
        if place.is_probe:
            place.is_probe = False
            slot.state.abandoned()
        if slot.queue or slot.again or self._starved:
            state = slot.state
            if state.is_unbound and slot.in_flight <= state.limit and not (slot.again or self._starved):
                # The usual case: the next in line takes it over.
                heir, _ = slot.queue.popitem(last=False)
                self._waiting -= 1
                heir.begin(self._now_s())
                heir.end(_GO)
                return
            self._give_back(slot)
            self._advance(slot)
            self._feed()
        else:
            self._give_back(slot)
        self._leave_alone(slot)

    def _give_back(self, slot: _Slot) -> None:
        slot.in_flight -= 1
        self._in_flight -= 1
        self._free += 1

    # Whose turn it is

    def _advance(self, slot: _Slot) -> None:
        """Let everybody at `slot` begin who may."""
        while slot.queue or slot.again:
            if self._starved and not slot.again:
                # Others waited for a place before: it stands at their end.
                self._starved.setdefault(slot)
                self._feed()
                return
            if not self._begin_next(slot):
                return

    def _feed(self) -> None:
        """Give free places to the slots that want one, in turn."""
        while self._starved and self._free > 0:
            slot, _ = self._starved.popitem(last=False)
            if self._begin_next(slot) and slot.queue:
                self._starved[slot] = None

    def _begin_next(self, slot: _Slot) -> bool:
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
            place, _ = slot.again.popitem(last=False)
        elif slot.in_flight >= state.limit:
            return False
        elif self._free <= 0:
            self._starved.setdefault(slot)
            return False
        else:
            place, _ = slot.queue.popitem(last=False)
            self._waiting -= 1
            self._take(slot)
        place.begin(now_s)
        place.end(_GO)
        return True

    def _refuse(self, slot: _Slot) -> None:
        """Send away who waits or pauses: the origin is taken for dead."""
        for place in slot.take_all():
            place.end(self._circuit_open(slot))
            self._waiting -= 1
        for place in (*slot.again, *slot.pausing):
            place.end(_STOP)
        slot.again.clear()
        slot.pausing.clear()

    def _circuit_open(self, slot: _Slot) -> FetchError:
        return FetchError(
            ErrorKind.CIRCUIT_OPEN, f"{slot.origin} is left alone, it failed too often; last {slot.state.last_failure}"
        )

    def _call_at(self, slot: _Slot, moment_s: float) -> None:
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

    def _pause(self, place: Place, wait_s: float, limit_s: float) -> bool:
        slot = place.slot
        state, now_s = slot.state, self._now_s()
        until_s = now_s + limit_s
        turn_s = state.wait_s(now_s)
        if wait_s >= limit_s or state.refuses(now_s) or limit_s <= turn_s < math.inf:
            return False
        if not self._wait_in(slot.pausing, place, wait_s, _GO):
            return False
        now_s = self._now_s()
        if not slot.again and (state.is_unbound or state.wait_s(now_s) <= 0):
            place.begin(now_s)
            return True
        if not self._wait_in(slot.again, place, until_s - now_s, _STOP):
            return False
        state.resumed(self._now_s())
        return True

    def _wait_in(self, line: OrderedDict[Place, None], place: Place, limit_s: float, at_limit: _Verdict) -> bool:
        """Wait in `line` until somebody ends it, for `limit_s` at most, and then with `at_limit`; whether to go on."""
        place.stand_in(line)

        def fire() -> None:
            if place.verdict is None:
                del line[place]
                place.end(at_limit)

        cancel = self._clock.start_timer(limit_s, fire)
        if line is place.slot.again:
            self._advance(place.slot)
        try:
            return place.wait() is _GO
        finally:
            cancel()
            line.pop(place, None)

    # What was learnt

    def _answered(self, place: Place, status: int, retry_after_s: float | None) -> None:
        slot = place.slot
        was_closed = slot.state.is_circuit_closed
        slot.state.answered(status, retry_after_s, window=place.window, now_s=self._now_s())
        place.is_probe = False
        if not was_closed:
            self._open -= 1
            _log.debug("%s answers again", slot.origin)
        if slot.queue or slot.again:
            self._advance(slot)

    def _failed(self, place: Place, error: FetchError) -> None:
        slot = place.slot
        was_closed = slot.state.is_circuit_closed
        now_s = self._now_s()
        slot.state.failed(
            error.kind,
            str(error),
            window=place.window,
            is_probe=place.is_probe,
            now_s=now_s,
            chance=self._clock.chance(),
        )
        place.is_probe = False
        is_closed = slot.state.is_circuit_closed
        self._open += was_closed - is_closed
        if was_closed and not is_closed:
            _log.debug("%s is left alone for a while: %s", slot.origin, slot.state.last_failure)
        if slot.state.refuses(now_s):
            self._refuse(slot)
        elif slot.queue or slot.again:
            self._advance(slot)

    # Forgetting

    def _leave_alone(self, slot: _Slot) -> None:
        """Forget a slot that nobody uses, now or when its time comes."""
        if slot.in_flight or slot.queue or slot.is_remembered or slot.is_forgotten:
            return
        if slot.cancel_timer is not None:
            slot.cancel_timer()
            slot.cancel_timer = None
        state = slot.state
        if state.is_unbound and state.is_healthy:
            slot.is_forgotten = True
            del self._slots[slot.origin]
            return
        now_s = self._now_s()
        slot.is_remembered = True
        self._remembered += 1
        slot.forgettable_s = state.forgettable_s(now_s)
        if not slot.is_in_heap:
            slot.is_in_heap = True
            heapq.heappush(self._idle, (slot.forgettable_s, next(self._order), slot))
        self._forget(now_s)

    def _forget(self, now_s: float) -> None:
        while self._idle and (self._idle[0][0] <= now_s or self._remembered > MAX_REMEMBERED):
            _, _, slot = heapq.heappop(self._idle)
            slot.is_in_heap = False
            if not slot.is_remembered:
                continue  # in use again
            if slot.forgettable_s > now_s and self._remembered <= MAX_REMEMBERED:
                slot.is_in_heap = True
                heapq.heappush(self._idle, (slot.forgettable_s, next(self._order), slot))
                continue
            slot.is_remembered, slot.is_forgotten = False, True
            self._remembered -= 1
            self._open -= not slot.state.is_circuit_closed
            del self._slots[slot.origin]


class Place:
    """A request's place at its origin: in flight for the `with` block that `Slots.hold` is for.

    Tell it what became of each attempt: `answered` or `failed`. Its attributes are the slots' own.

    verdict  how its last wait ended, None while it waits; set some time before its greenlet runs again
    """

    __slots__ = ("_slots", "_waiter", "crawl_delay_s", "is_probe", "origin", "slot", "verdict", "window")

    slot: _Slot
    verdict: _Verdict | None

    def __init__(self, slots: Slots, origin: Origin, crawl_delay_s: float) -> None:
        self._slots = slots
        self.origin = origin
        self.crawl_delay_s = crawl_delay_s
        self.is_probe = False
        self.window = 0
        self._waiter: Waiter[None] | None = None

    def __enter__(self) -> Place:
        self._slots._enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._slots._leave(self)

    def answered(self, status: int, retry_after_s: float | None = None) -> None:
        """An attempt got a response. retry_after_s: what its Retry-After asks for, None when absent."""
        if status >= 400 or not self.slot.state.is_healthy:
            self._slots._answered(self, status, retry_after_s)

    def failed(self, error: FetchError) -> None:
        """An attempt got none. Behind a redirect that is another origin's failure: this one has answered."""
        if error.hops:
            self.answered(302)
        else:
            self._slots._failed(self, error)

    def pause(self, wait_s: float, limit_s: float) -> bool:
        """Wait `wait_s` and then for the origin's leave to try again, keeping the place; whether that came.

        False as soon as it is known that it would take `limit_s` or longer, or that the circuit refuses: the last
        attempt's result then stands. Yields to the hub.
        """
        return self._slots._pause(self, wait_s, limit_s)

    def raise_delay(self, crawl_delay_s: float) -> None:
        """The origin's robots.txt, just read, asks for that delay."""
        self.slot.state.raise_delay(crawl_delay_s)

    def begin(self, now_s: float) -> None:
        """Note that an attempt begins."""
        state = self.slot.state
        self.is_probe = state.begin(now_s)
        self.window = state.window

    def stand_in(self, line: OrderedDict[Place, None]) -> None:
        """Queue up; `wait` is next."""
        self.verdict = None
        line[self] = None

    def wait(self) -> _Verdict:
        """Wait in a line for `end`."""
        if self.verdict is None:
            waiter = self._waiter = Waiter()
            waiter.get()
        assert self.verdict is not None, "nothing else wakes it"
        return self.verdict

    def end(self, verdict: _Verdict) -> None:
        """End its wait. Never switches; a greenlet that is dead by the time this arrives is not disturbed."""
        self.verdict = verdict
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            get_hub().loop.run_callback(waiter.switch, None)


class _Slot:
    """One origin's state, and who waits for it, each line in the order of arrival.

    queue    without a place yet
    again    with a place, waiting for the origin's leave to repeat an attempt
    pausing  with a place, in the pause before that
    """

    __slots__ = (
        "again",
        "cancel_timer",
        "forgettable_s",
        "in_flight",
        "is_forgotten",
        "is_in_heap",
        "is_remembered",
        "origin",
        "pausing",
        "queue",
        "state",
        "timer_s",
    )

    def __init__(self, origin: Origin, state: OriginState) -> None:
        self.origin = origin
        self.state = state
        self.in_flight = 0
        self.queue: OrderedDict[Place, None] = OrderedDict()
        self.again: OrderedDict[Place, None] = OrderedDict()
        self.pausing: OrderedDict[Place, None] = OrderedDict()
        self.cancel_timer: Cancel | None = None
        self.timer_s = 0.0
        self.is_remembered = self.is_in_heap = self.is_forgotten = False
        self.forgettable_s = 0.0

    def take_all(self) -> list[Place]:
        """Empty the queue."""
        taken = list(self.queue)
        self.queue.clear()
        return taken
