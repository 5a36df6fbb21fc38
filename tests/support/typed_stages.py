"""What type checkers must know of a decorated function. bin/check reads this; nothing runs it.

An ignored error that mypy does not find (any more) is an error too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

from app.stages import Page, Stage, stage


@stage
def bare(page: Page) -> int:
    return page.status_code


@stage("named", runs_in="thread", timeout_s=5)
def with_earlier(page: Page, earlier: Mapping[str, Any]) -> list[str]:
    return [*earlier]


@stage(argument=int)
def with_argument(page: Page, *, argument: int = 3) -> str:
    return "x" * argument


def use(page: Page) -> None:
    assert_type(bare(page), int)
    assert_type(with_earlier(page, {}), list[str])
    assert_type(with_argument(page, argument=4), str)
    as_stages: list[Stage] = [bare, with_earlier, with_argument]
    assert_type(as_stages[0].name, str)


def misuse(page: Page) -> None:
    bare("not a page")  # type: ignore[arg-type]
    with_earlier(page)  # type: ignore[call-arg]
    stage(runs_in="gpu")  # type: ignore[call-overload]
