"""Pipeline: the way of one request, from entry to outcome: robots.txt, slot, attempts, stages.

The law: `run` returns exactly one Outcome for every entry, whatever happens. Only what ends the greenlet itself
(GreenletExit, KeyboardInterrupt) and Draining pass through, and then nothing counts as done.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from gevent import GreenletExit

from app.engine.overseer import NOBODY, Overseer
from app.engine.stage_errors import text_of_error
from app.engine.stage_runner import StageRunner
from app.errors import Draining, FetchError, InvalidRequest, OutputError, StageTimeout
from app.fetching.page import Page
from app.fetching.permit import Permit
from app.fetching.robots import Robots
from app.fetching.session import Session
from app.fetching.slots import Slots
from app.fetching.stored import stored_page
from app.fetching.visit import Hop
from app.hub.clock import Clock
from app.model.job import BodyForm, FetchOptions
from app.model.origin import Origin
from app.model.outcome import ErrorKind, Failure, Outcome
from app.model.request import Entry, Request, StoredResponse
from app.model.timing import Timing
from app.policy.retry import Attempt, parse_retry_after_s, pause_s
from app.policy.urls import origin_of
from app.stages.base import Stage
from app.stages.markup import text_of

_log = logging.getLogger("percore.engine")

_MESSAGE_CHARACTERS = 500

KeepPage = Callable[[int, Page], dict[str, str]]
"""Keeps the final page of the request of that index; the fields of the record that say where. May yield to the hub."""


class Pipeline:
    """How the requests of one job are run on this hub.

    session, slots, robots, runner  shared by every pipeline of the hub
    stages                          run on each page, in order
    clock                           the slots' own
    overseer                        told of each entry's stages, by its index
    keep_page                       for every final page, once its stages have run. OutputError from it ends the run
    """

    def __init__(
        self,
        session: Session,
        slots: Slots,
        robots: Robots,
        runner: StageRunner,
        *,
        stages: Sequence[Stage] = (),
        options: FetchOptions | None = None,
        clock: Clock | None = None,
        overseer: Overseer = NOBODY,
        keep_page: KeepPage | None = None,
    ) -> None:
        self._session = session
        self._slots = slots
        self._robots = robots
        self._stages = [(stage.name, runner.bound(stage, overseer)) for stage in stages]
        self._options = options or FetchOptions()
        self._obeys_robots = self._options.robots == "obey"
        self._clock = clock or Clock()
        self._now_s = self._clock.monotonic_s
        self._overseer = overseer
        self._keep_page = keep_page

    def run(self, entry: Entry) -> Outcome:
        """The entry's one outcome. Yields to the hub."""
        draft = _Draft(entry)
        try:
            self._run(entry, draft)
        except InvalidRequest as error:
            draft.attempts = 0
            draft.fail(error.kind, str(error))
        except FetchError as error:
            draft.fail(error.kind, str(error))
        except Draining:
            raise
        except Exception as error:
            _log.exception("request %d (%s) met a defect", entry.index, entry.url)
            draft.fail(ErrorKind.INTERNAL_ERROR, f"{type(error).__name__}: {error}")
        now_s = self._now_s()
        if self._keep_page is not None and draft.page is not None:
            self._keep(self._keep_page, draft.page, draft)
        return draft.outcome(now_s)

    def _run(self, entry: Entry, draft: _Draft) -> None:
        request = entry.request
        if isinstance(request, Request):
            page = self._fetched(request, entry.origin or origin_of(request.url), draft)
        elif isinstance(request, StoredResponse):
            page = self._stored(request, draft)
        else:
            draft.failure = request
            return
        draft.page = page
        status = page.status_code
        options = self._options
        if options.timing and page.timing is not None:
            draft.timing = page.timing
        if status >= 400:
            raise FetchError(ErrorKind.HTTP_STATUS, f"{status} {page.reason or ''}".strip())
        if self._stages:
            alone = self._overseer.around(entry.index)
            if alone is None:
                self._run_stages(page, draft)
            else:
                with alone:
                    self._run_stages(page, draft)
        if options.body != "none":
            draft.body = _body(page, options.body)

    def _stored(self, stored: StoredResponse, draft: _Draft) -> Page:
        """What was fetched before: no origin is asked for leave, for none is contacted."""
        draft.began_s = self._now_s()
        return stored_page(stored, self._session)

    def _fetched(self, request: Request, origin: Origin, draft: _Draft) -> Page:
        options = self._options
        if options.headers:
            request = msgspec.structs.replace(request, headers=_merge(options.headers, request.headers))
        limit_s = request.timeout_s or options.timeout_s
        page = self._hop(request, origin, draft, limit_s)
        while 300 <= page.status_code < 400 and (hop := self._session.next_hop(page)) is not None:
            page = self._hop(hop, origin_of(hop.url), draft, limit_s)
        return page

    def _keep(self, keep_page: KeepPage, page: Page, draft: _Draft) -> None:
        entry = draft.entry
        try:
            draft.kept |= keep_page(entry.index, page)
        except (OutputError, Draining):
            raise
        except Exception as error:
            _log.exception("the page of request %d (%s) can't be kept", entry.index, entry.url)
            draft.fail(ErrorKind.INTERNAL_ERROR, f"the page can't be kept: {type(error).__name__}: {error}")

    def _hop(self, request: Request | Hop, origin: Origin, draft: _Draft, limit_s: float) -> Page:
        """One hop of the fetch, by leave of its own origin: attempts until an answer stands. Raises the last one's
        FetchError when no response came.
        """
        crawl_delay_s = self._robots.admit(request.url, origin) if self._obeys_robots else 0.0
        # The slot is kept while an attempt is waited for: an origin in trouble is not sent others meanwhile. It is
        # given back between hops: who waits for a permit must hold none.
        with self._slots.hold(origin, crawl_delay_s) as permit:
            now_s = permit.entered_s
            began_s = draft.began_s
            is_first_hop = began_s is None
            if began_s is None:
                began_s = draft.began_s = now_s
                draft.attempts = 1
            ends_s = began_s + limit_s
            while True:
                failure = None
                wall_s = self._clock.wall_s()
                try:
                    page = self._session.fetch_hop(request, timeout_s=ends_s - now_s, limit_s=limit_s)
                except FetchError as error:
                    failure = error
                    permit.failed(error)
                    attempt = Attempt(draft.attempts, request.method, error.kind)
                else:
                    page.began_s = wall_s
                    status = page.status_code
                    if status < 400:
                        permit.answered(status)
                        return page
                    retry_after_s = parse_retry_after_s(page.headers.get("Retry-After"), self._clock.wall_s())
                    permit.answered(status, retry_after_s)
                    attempt = Attempt(draft.attempts, request.method, ErrorKind.HTTP_STATUS, status, retry_after_s)
                if not self._may_try_again(attempt, ends_s, permit):
                    if failure is not None:
                        if failure.kind is ErrorKind.ADDRESS_DENIED and is_first_hop and draft.attempts == 1:
                            draft.attempts = 0  # nothing was sent
                        raise failure
                    return page
                draft.attempts += 1
                now_s = self._now_s()

    def _may_try_again(self, attempt: Attempt, ends_s: float, permit: Permit) -> bool:
        """Whether another attempt may begin, the pause before it having been waited for."""
        remaining_s = ends_s - self._now_s()
        chance = self._clock.chance()
        wait_s = pause_s(attempt, retries=self._options.retries, remaining_s=remaining_s, chance=chance)
        if wait_s is None or not permit.pause(wait_s, remaining_s):
            return False
        # A pause can be longer than asked for, when something holds the hub: then too the last answer stands.
        return self._now_s() < ends_s

    def _run_stages(self, page: Page, draft: _Draft) -> None:
        index, values = draft.entry.index, draft.stages
        for name, run in self._stages:
            try:
                values[name] = run(page, values, index)
            except (GreenletExit, KeyboardInterrupt, Draining):
                raise
            except StageTimeout as error:
                draft.fail(ErrorKind.STAGE_TIMEOUT, str(error), name)
                return
            except BaseException as error:
                # A stage may raise what is no Exception: sys.exit(), a timeout of its own, a panic of native code.
                draft.fail(ErrorKind.STAGE_FAILED, text_of_error(error), name)
                return


class _Draft(msgspec.Struct, gc=False):
    """What is known so far of one entry's outcome.

    began_s  of the first attempt, on the pipeline's clock; None before
    kept     fields of the record besides
    """

    entry: Entry
    attempts: int = 0
    began_s: float | None = None
    page: Page | None = None
    failure: Failure | None = None
    stages: dict[str, msgspec.Raw] = {}
    body: str | msgspec.UnsetType = msgspec.UNSET
    timing: Timing | msgspec.UnsetType = msgspec.UNSET
    kept: dict[str, Any] = {}

    def fail(self, kind: ErrorKind, message: str, stage: str | None = None) -> None:
        # Surrogates can come from a page's own text and could not be written as JSON.
        line = " ".join(message.encode("utf-8", "replace").decode().split())
        self.failure = Failure(kind, line[:_MESSAGE_CHARACTERS], stage)

    def outcome(self, now_s: float) -> Outcome:
        page, entry, began_s = self.page, self.entry, self.began_s
        request = entry.request
        named = entry if isinstance(request, Failure) else request
        outcome = Outcome(
            index=entry.index,
            id=named.id if named.id is not None else msgspec.UNSET,
            url=entry.url,
            ok=self.failure is None,
            status=page.status_code if page is not None else None,
            final_url=page.url if page is not None else None,
            headers=page.lower_headers() if page is not None else {},
            bytes=len(page.body) if page is not None else 0,
            # As round(..., 6), for a fifth of its time.
            elapsed_s=round((now_s - began_s) * 1e6) / 1e6 if began_s is not None else 0.0,
            attempts=self.attempts,
            stages=self.stages,
            error=self.failure,
            body=self.body,
            meta=named.meta,
            timing=self.timing,
        )
        return msgspec.structs.replace(outcome, **self.kept) if self.kept else outcome


def _merge(shared: dict[str, str], own: dict[str, str]) -> dict[str, str]:
    """`shared` under `own`: header names are compared without regard to case."""
    taken = {name.lower() for name in own}
    return {name: value for name, value in shared.items() if name.lower() not in taken} | own


def _body(page: Page, form: BodyForm) -> str | msgspec.UnsetType:
    if form == "text":
        return text_of(page)
    if form == "base64":
        return base64.b64encode(page.body).decode("ascii")
    return msgspec.UNSET
