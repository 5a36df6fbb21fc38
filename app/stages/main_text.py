"""Main text: what a page is about, without what surrounds it on every page of its site. Found once for all stages.

Resiliparse finds it, by rules over tags, classes and the amount of text, in native code over a tree of its own. It did
well beside fourteen others in Bevendorff, Gupta, Kiesel and Stein, "An empirical comparison of web content extraction
algorithms" (SIGIR 2023).
"""

from __future__ import annotations

from typing import cast

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from app.fetching.page import Page
from app.stages.markup import text_of
from app.stages.nesting import check_nesting

_LEVELS = 3


def main_text_of(page: Page) -> str:
    """The page's main text; all of its visible text when nothing in it looks like the main part.

    Paragraphs are parted by an empty line; items of a list begin with a dot; cells of a row are parted by tabs. Lists
    of links count as navigation. A body that is declared as plain text is given as it is, stripped.
    Raises ValueError for a page that is nested too deeply.
    """
    if "main_text" not in page.memo:
        page.memo["main_text"] = _extract(page)
    return cast(str, page.memo["main_text"])


def _extract(page: Page) -> str:
    text = text_of(page)
    if page.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/plain":
        return text.strip()
    check_nesting(text)
    tree = HTMLTree.parse(text)
    _lay_deeper(tree)
    return (
        extract_plain_text(tree, main_content=True, alt_texts=False).strip()
        or extract_plain_text(tree, alt_texts=False).strip()
    )


def _lay_deeper(tree: HTMLTree) -> None:
    """Resiliparse takes every list that lies less than four deep for navigation; plain pages have all theirs there."""
    body = tree.body
    if body is None:
        return
    for _ in range(_LEVELS):
        level = tree.create_element("div")
        assert level is not None
        while (child := body.first_child) is not None:
            level.append_child(child)
        body.append_child(level)
