"""Reasons: why the system refused something, in words, and what to do about it where that is known."""

from __future__ import annotations

import errno

LOWER_CONCURRENCY = "lower --concurrency"


def reason_of(error: OSError, *, or_else: str = LOWER_CONCURRENCY) -> str:
    """One line without the name of a file.

    or_else  what helps against a want of descriptors, besides more of them
    """
    text = error.strerror or str(error) or type(error).__name__
    # The soft limit was raised to the hard one already (workers.descriptors).
    return f"{text} (raise `ulimit -n`, or {or_else})" if error.errno == errno.EMFILE else text
