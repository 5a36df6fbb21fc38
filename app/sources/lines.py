"""Lines: a byte stream cut at newlines, as it comes, with bounded memory.

Line numbers are the stream's own, blank lines included, so a record's `index` is what `sed -n` counts (less one).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

# A request with a large body fits; a file that is no list of lines does not fill the memory.
MAX_LINE_BYTES = 4 * 1024 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(stream: BinaryIO, *, keep_ends: bool = False) -> Iterator[bytes]:
    """Each line, without its end of line unless asked to keep it.

    Of one that is too long come MAX_LINE_BYTES + 1 bytes; the rest is skipped. Blocks as the stream does.
    """
    first = True
    while line := stream.readline(MAX_LINE_BYTES + 1):
        whole = line.endswith(b"\n")
        if first:
            line, first = line.removeprefix(_BYTE_ORDER_MARK), False
        is_cut = not whole and len(line) > MAX_LINE_BYTES
        yield line if keep_ends or is_cut else line.rstrip(b"\r\n")
        while not whole and (rest := stream.readline(MAX_LINE_BYTES)):
            whole = rest.endswith(b"\n")
