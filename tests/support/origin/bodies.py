"""Bodies and pages of the origin. Pure: the same arguments give the same bytes, in the server and in a test."""

from __future__ import annotations

import html
from collections.abc import Iterator

BLOCK_BYTES = 65_536
DEFAULT_BYTES = 2_000

_FILLER = b"The tide comes in and the tide goes out, and the harbour wall is there for both.\n"
_FILLER_RUN = _FILLER * (BLOCK_BYTES // len(_FILLER) + 2)

# The first of these that an encoding can hold is its page's text; none of them is plain ASCII.
_CHARSET_TEXTS = (
    "Überfahrt nach Föhr: café, quai, été",
    "Приливы и отливы у старой гавани",
    "Παλίρροια στο παλιό λιμάνι",
    "潮の満ち引きと古い港",
    "老港的潮汐表",
    "오래된 항구의 조석표",
    "לוח הגאות של הנמל הישן",
    "جدول المد في الميناء القديم",
    "ตารางน้ำขึ้นน้ำลง",
)


def body_of(length_bytes: int) -> bytes:
    """The body of `ok/N`, `big/N` and most others: text of exactly that length, an HTML page if it's long enough."""
    return b"".join(blocks_of(length_bytes))


def blocks_of(length_bytes: int) -> Iterator[bytes]:
    """The same body in blocks of at most BLOCK_BYTES, so that a big one never stands in memory."""
    start = b"<!doctype html>\n<title>A page of %d bytes</title>\n<p>" % length_bytes
    yield (start + _FILLER_RUN[: BLOCK_BYTES - len(start)])[:length_bytes]
    left = length_bytes - BLOCK_BYTES
    while left > 0:
        yield _FILLER_RUN[: min(left, BLOCK_BYTES)]
        left -= BLOCK_BYTES


def html_page(name: str) -> str:
    """A small page with title, declared charset, text and links of every common form."""
    name = html.escape(name)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Page {name} of the origin</title></head>
<body><h1>Page {name}</h1>
<p>Grüße, a well-formed page: ✓ &amp; done.</p>
<ul>
<li><a href="/ok">absolute path</a></li>
<li><a href="next">relative path</a></li>
<li><a href="?page=2">query only</a></li>
<li><a href="#end">fragment only</a></li>
<li><a href="mailto:keeper@harbour.invalid">mail</a></li>
<li><a>no target</a></li>
</ul>
<p id="end">The end.</p></body></html>
"""


def charset_page(encoding: str, *, declared_in_page: bool = False) -> str:
    """The text of `charset/ENCODING` (or of `charset-meta/ENCODING`), before it is encoded.

    Raises LookupError for an encoding that Python doesn't know, ValueError for one that holds none of our texts.
    """
    meta = f'<meta charset="{encoding}">' if declared_in_page else ""
    for text in _CHARSET_TEXTS:
        page = f"<!doctype html>\n<html><head>{meta}<title>{text}</title></head><body><p>{text}</p></body></html>\n"
        try:
            page.encode(encoding)
        except UnicodeEncodeError:
            continue
        return page
    raise ValueError(f"no text for the encoding {encoding}")
