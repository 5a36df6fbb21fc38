"""Nesting: how deep a page's elements lie in each other, at most, judged before anything parses it.

The law: a parser is never given a page that it would hold the interpreter over. HTML's rules make parsers look through
all open elements at every block element (WHATWG HTML, "has an element in button scope"), so the time grows with the
square of the depth: 40,000 times `<div>`, 200 KB, took 2 s to parse and 35 s to extract. Browsers cut at 512 (Blink).
"""

from __future__ import annotations

import re

DEEPEST = 1000

# Those whose start tags are costly and of which one may lie in another. (An <li> ends the one before, but in a <ul>.)
_BLOCK = re.compile(
    r"<(/?)(address|article|aside|blockquote|center|details|dialog|dir|div|dl|fieldset|figcaption|figure|footer"
    r"|form|header|hgroup|listing|main|menu|nav|ol|pre|search|section|summary|table|ul)(?=[\s/>])",
    re.IGNORECASE,
)


def check_nesting(text: str) -> None:
    """Raises ValueError for a page whose blocks seem to lie more than DEEPEST deep.

    It is an estimate, made without parsing: text that only looks like tags counts, and markup made for the purpose can
    pass. It keeps out what a broken generator makes.
    """
    # Most pages have fewer start tags than that. Two counts cost less than a hundredth of parsing.
    if text.count("<") - text.count("</") <= DEEPEST:
        return
    open_of: dict[str, int] = {}
    depth = 0
    for closing, name in _BLOCK.findall(text):
        name = name.lower()
        if not closing:
            open_of[name] = open_of.get(name, 0) + 1
            depth += 1
            if depth > DEEPEST:
                raise ValueError(f"the page's elements are nested more than {DEEPEST} deep")
        elif open_of.get(name):
            open_of[name] -= 1
            depth -= 1
