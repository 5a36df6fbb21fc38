from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys

import pytest

from app.files.reasons import lack_of_descriptors, reason_of
from tests.support.processes import HANG_GUARD_S, ROOT


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


@pytest.mark.parametrize(("left", "said"), [(0, "EMFILE"), (1, "EMFILE"), (8, "EMFILE"), (9, "None")])
def test_descriptors_are_lacking_when_few_are_left(left: int, said: str) -> None:
    script = """
import errno, os, resource, sys
from app.files.reasons import lack_of_descriptors

lowest = os.dup(0)
os.close(lowest)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + int(sys.argv[1]), hard))
lack = lack_of_descriptors(few=8)
print(lack and errno.errorcode[lack.errno])
"""
    command = [sys.executable, "-c", script, str(left)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_GUARD_S, check=True)
    assert ended.stdout == f"{said}\n"


def test_no_descriptor_is_kept_by_looking() -> None:
    before = os.listdir("/proc/self/fd")
    assert lack_of_descriptors(few=0) is None
    assert os.listdir("/proc/self/fd") == before
