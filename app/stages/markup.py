"""A page's HTML, decoded and parsed once for all the stages that look at it.

Decoding follows what browsers do (WHATWG HTML, section 13.2.3): byte order mark, then the header's charset, then
the page's own declaration, then UTF-8 if it is that, else windows-1252; w3lib knows the aliases. Parsing is
Lexbor's, by selectolax, which follows the HTML standard for broken markup too.
"""

from __future__ import annotations

from typing import cast

from selectolax.lexbor import LexborHTMLParser
from w3lib.encoding import html_to_unicode
from w3lib.html import get_base_url

from app.fetching.page import Page
from app.stages.nesting import check_nesting


def text_of(page: Page) -> str:
    """The body as text, in the encoding that a browser would choose."""
    if "text" not in page.memo:
        page.memo["encoding"], page.memo["text"] = _decode(page)
    return cast(str, page.memo["text"])


def encoding_of(page: Page) -> str:
    """The encoding of `text_of`, by Python's name; for UTF-16, in which nothing is sent, UTF-8 (WHATWG Encoding,
    "get an output encoding").
    """
    text_of(page)
    encoding = cast(str, page.memo["encoding"])
    return "utf-8" if encoding.startswith("utf-16") else encoding


def tree_of(page: Page) -> LexborHTMLParser:
    """The parsed body. A stage that changes the tree works on `tree_of(page).clone()`.

    Raises ValueError for a page that is nested too deeply to be parsed in reasonable time.
    """
    if "tree" not in page.memo:
        check_nesting(text_of(page))
        page.memo["tree"] = LexborHTMLParser(text_of(page))
    return cast(LexborHTMLParser, page.memo["tree"])


def base_url_of(page: Page) -> str:
    """What the page's relative links are relative to: its `<base href>`, or its final URL."""
    return get_base_url(text_of(page), page.url or "")


def _decode(page: Page) -> tuple[str, str]:
    """The encoding, and the text."""
    try:
        return html_to_unicode(page.headers.get("Content-Type"), page.body, auto_detect_fun=_guess_encoding)
    except (LookupError, UnicodeError):
        # Python knows codecs that are no text encodings ("hex", "idna"), and a server may name one.
        encoding = _guess_encoding(page.body)
        return encoding, page.body.decode(encoding, "replace")


def _guess_encoding(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
