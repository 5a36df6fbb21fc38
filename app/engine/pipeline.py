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
from requests.models import REDIRECT_STATI

from app.engine.overseer import NOBODY, Overseer
from app.engine.stage_errors import text_of_error
from app.engine.stage_runner import StageRunner
from app.errors import Draining, FetchError, InvalidRequest, OutputError, StageTimeout
from app.fetching.page import Page
from app.fetching.place import Place
from app.fetching.robots import Robots
from app.fetching.session import Session
from app.fetching.slots import Slots
from app.fetching.stored import stored_page
from app.fetching.visit import Hop
from app.hub.clock import Clock
from app.model.job import BodyForm, FetchOptions
from app.model.outcome import ErrorKind, Failure, Outcome
from app.model.request import Entry, Request, StoredResponse
from app.model.timing import Timing
from app.policy.deadline import Deadline
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
        self._runner = runner
        self._stages = tuple(stages)
        self._options = options or FetchOptions()
        self._clock = clock or Clock()
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
        now_s = self._clock.monotonic_s()
        if self._keep_page is not None and draft.page is not None:
            self._keep(self._keep_page, draft.page, draft)
        outcome = draft.outcome(now_s)
        return msgspec.structs.replace(outcome, **draft.kept) if draft.kept else outcome

    def _run(self, entry: Entry, draft: _Draft) -> None:
        request = entry.request
        if isinstance(request, Failure):
            draft.failure = request
            return
        page = self._stored(request, draft) if isinstance(request, StoredResponse) else self._fetched(request, draft)
        draft.page = page
        if self._options.timing and page.timing is not None:
            draft.timing = page.timing
        if page.status_code >= 400:
            raise FetchError(ErrorKind.HTTP_STATUS, f"{page.status_code} {page.reason or ''}".strip())
        if self._stages:
            with self._overseer.around(entry.index):
                self._run_stages(page, draft)
        if self._options.body != "none":
            draft.body = _body(page, self._options.body)

    def _stored(self, stored: StoredResponse, draft: _Draft) -> Page:
        """What was fetched before: no origin is asked for leave, for none is contacted."""
        draft.deadline = Deadline(self._clock.monotonic_s(), self._options.timeout_s)
        return stored_page(stored, self._session)

    def _fetched(self, request: Request, draft: _Draft) -> Page:
        if self._options.headers:
            request = msgspec.structs.replace(request, headers=_merge(self._options.headers, request.headers))
        limit_s = request.timeout_s or self._options.timeout_s
        page = self._hop(request, draft, limit_s)
        while page.status_code in REDIRECT_STATI and (hop := self._session.next_hop(page)) is not None:
            page = self._hop(hop, draft, limit_s)
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

    def _hop(self, request: Request | Hop, draft: _Draft, limit_s: float) -> Page:
        """One hop of the fetch, by leave of its own origin."""
        origin = origin_of(request.url)
        crawl_delay_s = self._robots.admit(request.url, origin) if self._options.robots == "obey" else 0.0
        # The slot is kept while an attempt is waited for: an origin in trouble is not sent others meanwhile. It is
        # given back between hops: who waits for a place must hold none.
        with self._slots.hold(origin, crawl_delay_s) as place:
            is_first = draft.deadline is None
            if draft.deadline is None:
                draft.deadline = Deadline(self._clock.monotonic_s(), limit_s)
                draft.attempts = 1
            try:
                return self._fetch(request, draft, draft.deadline, place)
            except FetchError as error:
                # Nothing was sent, unless by an earlier hop or attempt.
                if error.kind is ErrorKind.ADDRESS_DENIED and is_first and draft.attempts == 1:
                    draft.attempts = 0
                raise

    def _fetch(self, request: Request | Hop, draft: _Draft, deadline: Deadline, place: Place) -> Page:
        """Try until an answer stands. Raises the last attempt's FetchError when no response came."""
        while True:
            page = failure = None
            began_s = self._clock.wall_s()
            try:
                left_s = deadline.remaining_s(self._clock.monotonic_s())
                page = self._session.fetch_hop(request, timeout_s=left_s, limit_s=deadline.limit_s)
            except FetchError as error:
                failure = error
                place.failed(error)
                attempt = Attempt(draft.attempts, request.method, error.kind)
            else:
                page.began_s = began_s
                if page.status_code < 400:
                    place.answered(page.status_code)
                    return page
                retry_after_s = parse_retry_after_s(page.headers.get("Retry-After"), self._clock.wall_s())
                place.answered(page.status_code, retry_after_s)
                attempt = Attempt(
                    draft.attempts, request.method, ErrorKind.HTTP_STATUS, page.status_code, retry_after_s
                )
            remaining_s = deadline.remaining_s(self._clock.monotonic_s())
            wait_s = pause_s(
                attempt, retries=self._options.retries, remaining_s=remaining_s, chance=self._clock.chance()
            )
            may_go_on = wait_s is not None and place.pause(wait_s, remaining_s)
            # A pause can be longer than asked for, when something holds the hub: then too the last answer stands.
            if not may_go_on or not deadline.remaining_s(self._clock.monotonic_s()):
                if page is None:
                    raise failure or AssertionError("either a page or a failure")
                return page
            draft.attempts += 1

    def _run_stages(self, page: Page, draft: _Draft) -> None:
        index, values = draft.entry.index, draft.stages
        for stage in self._stages:
            try:
                values[stage.name] = self._runner.run(stage, page, values, index, self._overseer)
            except (GreenletExit, KeyboardInterrupt, Draining):
                raise
            except StageTimeout as error:
                draft.fail(ErrorKind.STAGE_TIMEOUT, str(error), stage.name)
                return
            except BaseException as error:
                # A stage may raise what is no Exception: sys.exit(), a timeout of its own, a panic of native code.
                draft.fail(ErrorKind.STAGE_FAILED, text_of_error(error), stage.name)
                return


class _Draft:
    """What is known so far of one entry's outcome."""

    attempts = 0
    deadline: Deadline | None = None
    page: Page | None = None
    failure: Failure | None = None
    body: str | msgspec.UnsetType = msgspec.UNSET
    timing: Timing | msgspec.UnsetType = msgspec.UNSET

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.stages: dict[str, msgspec.Raw] = {}
        self.kept: dict[str, Any] = {}  # fields of the record besides

    def fail(self, kind: ErrorKind, message: str, stage: str | None = None) -> None:
        # Surrogates can come from a page's own text and could not be written as JSON.
        line = " ".join(message.encode("utf-8", "replace").decode().split())
        self.failure = Failure(kind, line[:_MESSAGE_CHARACTERS], stage)

    def outcome(self, now_s: float) -> Outcome:
        page, entry = self.page, self.entry
        return Outcome(
            index=entry.index,
            id=entry.given_id,
            url=entry.url,
            ok=self.failure is None,
            status=page.status_code if page is not None else None,
            final_url=page.url if page is not None else None,
            headers=page.lower_headers() if page is not None else {},
            bytes=len(page.body) if page is not None else 0,
            elapsed_s=round(self.deadline.elapsed_s(now_s), 6) if self.deadline else 0.0,
            attempts=self.attempts,
            stages=self.stages,
            error=self.failure,
            body=self.body,
            meta=entry.given_meta,
            timing=self.timing,
        )


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
