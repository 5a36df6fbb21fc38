"""`title`: the text of the page's first <title>, white space folded."""

from __future__ import annotations

from app.fetching.page import Page
from app.stages.base import stage
from app.stages.markup import tree_of


@stage
def title(page: Page) -> str | None:
    """The page's title, white space folded; null when it has none (an SVG's title does not count)."""
    for node in tree_of(page).css("title"):
        parent = node.parent
        if parent is None or parent.tag != "svg":
            return " ".join(node.text().split())
    return None
