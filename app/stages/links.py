"""`links`: the absolute http and https targets of <a href> and <area href>, once each, in page order."""

from __future__ import annotations

from urllib.parse import urldefrag, urljoin

from app.fetching.page import Page
from app.stages.base import stage
from app.stages.markup import base_url_of, tree_of


@stage
def links(page: Page) -> list[str]:
    """The pages that this one links to: absolute URLs, once each, in page order.

    Fragments are cut off, so two links into one page are one; targets that are no URL are left out.
    """
    base_url = base_url_of(page)
    found: dict[str, None] = {}
    for node in tree_of(page).css("a[href], area[href]"):
        # The URL standard strips these before it looks at the rest.
        href = (node.attributes.get("href") or "").strip(" \t\r\n\f")
        try:
            target = urldefrag(urljoin(base_url, href)).url
        except ValueError:
            continue
        if target.startswith(("http://", "https://")):
            found[target] = None
    return list(found)
