"""`text`: what a reader would see of the page: its body's text without scripts, styles and templates."""

from __future__ import annotations

from app.fetching.page import Page
from app.stages.base import stage
from app.stages.markup import tree_of

_UNSEEN = ["script", "style", "template", "noscript", "head", "svg", "iframe", "object"]


@stage("text")
def text(page: Page) -> str:
    """The page's visible text: its lines, white space folded within each, empty ones dropped."""
    tree = tree_of(page).clone()
    tree.strip_tags(_UNSEEN)
    if tree.body is None:
        return ""
    lines = (" ".join(line.split()) for line in tree.body.text().splitlines())
    return "\n".join(line for line in lines if line)
