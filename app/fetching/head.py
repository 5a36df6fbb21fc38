"""Head: the status line and the headers of an answer, from the lines that libcurl hands over.

Lines come with their line ends, in order, blocks ended by an empty line: interim answers (1xx), perhaps a proxy's
answer to CONNECT, the answer's own head, perhaps trailers. Bytes are latin-1, as in http.client and so in requests.
"""

from __future__ import annotations

from collections.abc import Sequence

from urllib3 import HTTPHeaderDict

_END = (b"\r\n", b"\n")


def final_head(lines: Sequence[bytes]) -> Sequence[bytes]:
    """The lines of the final answer's head: its status line first, the empty line last; empty if none came whole."""
    if lines and lines[-1] == b"\r\n" and lines.count(b"\r\n") == 1:
        return lines
    found: Sequence[bytes] = ()
    begin = 0
    for place, line in enumerate(lines):
        if line in _END:
            block = lines[begin : place + 1]
            begin = place + 1
            if block[0].startswith(b"HTTP/") and not 100 <= status_of(block) < 200:
                found = block
    return found


def status_of(head: Sequence[bytes]) -> int:
    """The status code of a head's first line, which libcurl has checked."""
    first = head[0]
    return int(first[9:12] if first.startswith(b"HTTP/1.") else first.split(None, 2)[1])


def reason_of(head: Sequence[bytes]) -> str:
    """The reason phrase; empty in HTTP/2 and later, which have none."""
    parts = head[0].split(None, 2)
    return parts[2].strip().decode("latin-1") if len(parts) > 2 else ""


def version_of(head: Sequence[bytes]) -> int:
    """As http.client writes it: 11 for HTTP/1.1, 20 for HTTP/2."""
    major, _, minor = head[0][5:].split(None, 1)[0].partition(b".")
    return int(major) * 10 + int(minor or b"0")


def headers_of(head: Sequence[bytes]) -> HTTPHeaderDict:
    """All headers in order, repeated ones apart. A line without a colon is passed over, a folded one is put together
    with one space (RFC 9112 section 5.2).
    """
    fields: list[list[str]] = []
    for line in head[1:]:
        text = line.decode("latin-1").rstrip("\r\n")
        if text[:1] in (" ", "\t") and fields:
            fields[-1][1] += " " + text.strip()
            continue
        name, colon, value = text.partition(":")
        if colon:
            # White space at the end stays, as in http.client.
            fields.append([name.rstrip(), value.lstrip(" \t")])
    headers = HTTPHeaderDict()
    for name, value in fields:
        headers.add(name, value)
    return headers


def names_header(head: Sequence[bytes], name: bytes) -> bool:
    """Whether a header of that lower-case name is there, without taking the head apart."""
    return b"\n" + name + b":" in b"".join(head).lower()
