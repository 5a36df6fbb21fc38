"""`links`: the absolute http and https targets of <a href> and <area href>, once each, in page order."""

from __future__ import annotations

import re
from urllib.parse import urldefrag, urljoin

from w3lib.url import safe_url_string

from app.errors import InvalidRequest
from app.fetching.page import Page
from app.policy.urls import origin_of
from app.stages.base import stage
from app.stages.markup import base_url_of, encoding_of, tree_of

# How most targets look that need no putting in order, which takes ten times as long as the rest.
_USUAL = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]+)?(?:/[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%|-]*)?")


@stage
def links(page: Page) -> list[str]:
    """The pages that this one links to: absolute URLs, once each, in page order.

    Fragments are cut off, so two links into one page are one; targets that are no URL are left out. Scheme and host
    are in lower case, and what can't stand in a URL is percent-encoded.
    """
    base_url = base_url_of(page)
    found: dict[str, None] = {}
    for node in tree_of(page).css("a[href], area[href]"):
        # The URL standard strips these before it looks at the rest.
        href = (node.attributes.get("href") or "").strip(" \t\r\n\f")
        try:
            target = urldefrag(urljoin(base_url, href)).url
            if not _USUAL.fullmatch(target):
                target = _in_order(target, page)
            origin_of(target)
        except (ValueError, InvalidRequest):
            continue
        found[target] = None
    return list(found)


def _in_order(target: str, page: Page) -> str:
    """As the URL standard writes it: the query in the page's encoding, if that has all of it. Raises ValueError."""
    try:
        return safe_url_string(target, encoding_of(page))
    except UnicodeEncodeError:
        return safe_url_string(target)
