"""Head: the status line and the headers of an answer, from the lines that libcurl hands over.

Lines come with their line ends, in order, blocks ended by an empty line: interim answers (1xx), the answer's own
head, perhaps trailers, which may look like anything. Bytes are latin-1, as in http.client and so in requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from urllib3 import HTTPHeaderDict

_END = (b"\r\n", b"\n")


def final_head(lines: Sequence[bytes]) -> Sequence[bytes]:
    """The lines of the final answer's head: its status line first, the empty line last; empty if none came whole."""
    # Mostly it is all there is. Whether that is so is said for less than by `is_final`, which has the last word.
    if lines and lines[-1] == b"\r\n" and lines[0][:10] in _BEGINNINGS and lines.count(b"\r\n") == 1:
        return lines
    begin = 0
    while (end := _end_of_block(lines, begin)) is not None:
        if is_final(lines[begin]):
            return lines[begin:end]
        begin = end
    return ()


_BEGINNINGS = frozenset(b"HTTP/1.%d %d" % (minor, hundreds) for minor in (0, 1) for hundreds in (2, 3, 4, 5))


def is_final(line: bytes) -> bool:
    """Whether that first line of a block begins an answer that no other one follows.

    None does after 101, which nobody asked for: libcurl, like http.client, takes what comes then for a body. What
    libcurl refuses right afterwards (a status below 100, or no status line at all) begins none.
    """
    status = status_of((line,))
    return status >= 200 or status == 101


def _end_of_block(lines: Sequence[bytes], begin: int) -> int | None:
    for place in range(begin, len(lines)):
        if lines[place] in _END:
            return place + 1
    return None


def status_of(head: Sequence[bytes]) -> int:
    """The status code of a head's first line; 0 if there is none."""
    first = head[0]
    code = first[9:12] if first.startswith(b"HTTP/1.") else first[5:].split(None, 2)[1:2]
    try:
        return int(code if isinstance(code, bytes) else code[0])
    except (ValueError, IndexError):
        return 0


def reason_of(head: Sequence[bytes]) -> str:
    """The reason phrase; empty in HTTP/2 and later, which have none."""
    parts = head[0].split(None, 2)
    return parts[2].strip().decode("latin-1") if len(parts) > 2 else ""


def version_of(head: Sequence[bytes]) -> int:
    """As http.client writes it: 11 for HTTP/1.1, 20 for HTTP/2."""
    major, _, minor = head[0][5:].split(None, 1)[0].partition(b".")
    return int(major) * 10 + int(minor or b"0")


Fields = list[tuple[str, str]]


def fields_of(head: Sequence[bytes]) -> Fields:
    """Name and value of every header, in order. A line without a colon is passed over, a folded one is put together
    with one space (RFC 9112 section 5.2).
    """
    try:
        return list(map(_field_of_line.__getitem__, head[1:-1]))
    except _CloserLook:
        return _fields(head)


class _CloserLook(Exception):
    """A line is not simply a header with its line end."""


class _KnownLines(dict[bytes, tuple[str, str]]):
    """Name and value by line. Most lines of an answer stand in the next one too (Server, Content-Type, Date within a
    second), so they are known. What is known takes 4 MB at the very most, and some hundred KB as a rule.

    read  makes of a line what is kept of it, or raises _CloserLook
    """

    def __init__(self, read: Callable[[bytes], tuple[str, str]]) -> None:
        self._read = read

    def __missing__(self, line: bytes) -> tuple[str, str]:
        field = self._read(line)
        if len(line) <= _LONGEST_KNOWN_BYTES:
            if len(self) >= _KNOWN_LINES:
                self.clear()
            self[line] = field
        return field


_LONGEST_KNOWN_BYTES = 2048
_KNOWN_LINES = 2048


def _read_field(line: bytes) -> tuple[str, str]:
    usual = line[:1] not in (b" ", b"\t") and line.endswith(b"\r\n") and line.count(b"\n") == 1
    field = _split(line[:-2].decode("latin-1")) if usual else None
    if field is None:
        raise _CloserLook
    return field


def _read_lower_field(line: bytes) -> tuple[str, str]:
    name, value = _read_field(line)
    return name.lower(), value


# Mutable: see _KnownLines. A thread that finds one being cleared reads the line itself.
_field_of_line = _KnownLines(_read_field)
_lower_field_of_line = _KnownLines(_read_lower_field)


def _fields(head: Sequence[bytes]) -> Fields:
    return [field for line in _unfolded(head) if (field := _split(line)) is not None]


def _split(line: str) -> tuple[str, str] | None:
    name, colon, value = line.partition(":")
    # White space at the end stays, as in http.client.
    return (name, value.lstrip(" \t")) if colon else None


def _unfolded(head: Sequence[bytes]) -> list[str]:
    lines: list[str] = []
    for line in head[1:]:
        text = line.decode("latin-1").rstrip("\r\n")
        if text[:1] in (" ", "\t") and lines:
            lines[-1] += " " + text.strip()
        else:
            lines.append(text)
    return lines


def headers_of(head: Sequence[bytes]) -> HTTPHeaderDict:
    """All headers in order, repeated ones apart."""
    headers = HTTPHeaderDict()
    for name, value in fields_of(head):
        headers.add(name, value)
    return headers


def joined_headers_of(head: Sequence[bytes]) -> dict[str, str]:
    """All headers under lower-case names, repeated ones joined by ", "."""
    try:
        joined = {name: value for name, value in map(_lower_field_of_line.__getitem__, head[1:-1])}  # noqa: C416 - half of dict()
        if len(joined) == len(head) - 2:
            return joined
    except _CloserLook:
        pass
    joined = {}
    for name, value in fields_of(head):
        name = name.lower()
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def names_header(head: Sequence[bytes], name: bytes) -> bool:
    """Whether a header of that lower-case name is there, without taking the head apart."""
    return is_in(b"\n" + name + b":", b"".join(head).lower())


def is_in(part: bytes, whole: bytes) -> bool:
    """As `in`, with which bytes first take the part for a number, and make an exception of it that nobody sees."""
    return whole.find(part) >= 0
