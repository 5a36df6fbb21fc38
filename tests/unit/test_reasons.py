from __future__ import annotations

import errno
import os
import socket

import pytest

from app.files.reasons import reason_of


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/f"), "No space left on device"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/f"),
         "Too many open files (raise `ulimit -n`, or lower --concurrency)"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (OSError("odd"), "odd"),
        (TimeoutError(), "TimeoutError"),
    ],
)  # fmt: skip
def test_it_says_what_to_do_where_that_is_known(error: OSError, reason: str) -> None:
    assert reason_of(error) == reason


def test_who_knows_what_else_helps_says_so() -> None:
    error = OSError(errno.EMFILE, "Too many open files")
    assert reason_of(error, or_else="lower --workers").endswith("(raise `ulimit -n`, or lower --workers)")
