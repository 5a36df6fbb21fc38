"""`language`: what language the page's main text is in, and what the page says about it.

Told by Resiliparse's detector, which compares hashed n-grams of letters with those of 101 languages. On passages of
translated program messages in 43 languages it was right for 98 % of those of 1,500 characters, 95 % of 300, 89 % of 200
and 56 % of 60: a short text gets no answer.
"""

from __future__ import annotations

import re
from typing import TypedDict

from resiliparse.parse.lang import detect_fast

from app.fetching.page import Page
from app.stages.base import stage
from app.stages.main_text import main_text_of
from app.stages.markup import tree_of

# In UTF-8, since a character of Chinese tells as much as three of English.
_LEAST_BYTES = 200

# The detector's distance, beyond which no language was told rightly more often than wrongly.
_FARTHEST = 800

# More than this tells no better.
_MOST_CHARACTERS = 10_000

_TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")


class Language(TypedDict):
    """detected: ISO 639-1 code, null when the text is too short or unlike any known language.

    declared: the language tag (BCP 47) of the page's `<html lang>`, else of its Content-Language; null without one.
    """

    detected: str | None
    declared: str | None


@stage
def language(page: Page) -> Language:
    """The language of the page's main text (ISO 639-1), and the one that the page declares."""
    return {"detected": _detect(main_text_of(page)), "declared": _declared(page)}


def _detect(text: str) -> str | None:
    text = text[:_MOST_CHARACTERS]
    if len("".join(filter(str.isalpha, text)).encode()) < _LEAST_BYTES:
        return None
    code, _distance = detect_fast(text, cutoff=_FARTHEST)
    return None if code == "unknown" else code


def _declared(page: Page) -> str | None:
    root = tree_of(page).root
    attribute = root.attributes.get("lang") if root is not None and root.tag == "html" else None
    for said in (attribute, page.headers.get("Content-Language", "").partition(",")[0]):
        if said and _TAG.fullmatch(said.strip()):
            return said.strip()
    return None
