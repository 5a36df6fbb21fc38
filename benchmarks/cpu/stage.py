"""The stage of the batch, as a user's own would be: `--stage benchmarks.cpu.stage:scored`."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from app.fetching.page import Page
from benchmarks.cpu.work import score


def scored(page: Page) -> int:
    """The score of as many units as the page's URL asks for (`?units=`)."""
    (units,) = parse_qs(urlsplit(page.url or "").query)["units"]
    return score(page.content, int(units))
