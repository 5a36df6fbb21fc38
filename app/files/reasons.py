"""Reasons: why the system refused something, in words, and what to do about it where that is known; and whether it did
because something is lacking here.
"""

from __future__ import annotations

import errno
import os
import resource

LOWER_CONCURRENCY = "lower --concurrency"

LACKS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Error numbers by which the system says that this process, or this machine, has no more of something."""


def reason_of(error: OSError, *, or_else: str = LOWER_CONCURRENCY) -> str:
    """One line without the name of a file.

    or_else  what helps against a want of descriptors, besides more of them
    """
    text = error.strerror or str(error) or type(error).__name__
    # The soft limit was raised to the hard one already (workers.descriptors).
    return f"{text} (raise `ulimit -n`, or {or_else})" if error.errno == errno.EMFILE else text


def lack_of_descriptors(few: int) -> OSError | None:
    """The error for which a descriptor can't be had at this moment, None if it can. For who was told something else by
    a library that passes over it.

    few  so many that are left, or fewer, may have been none a moment ago
    """
    try:
        descriptor = os.eventfd(0, os.EFD_CLOEXEC)
    except OSError as error:
        return error if error.errno in LACKS else None
    os.close(descriptor)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # It is the lowest number that was free.
    is_scarce = limit != resource.RLIM_INFINITY and limit - descriptor <= few
    return OSError(errno.EMFILE, os.strerror(errno.EMFILE)) if is_scarce else None
