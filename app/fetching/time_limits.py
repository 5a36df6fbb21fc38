"""Time limits: what requests takes for a timeout, as seconds. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from urllib3 import Timeout

# For connecting, and between two signs of progress after that; None is no limit.
Limits = tuple[float | None, float | None]

_NONE: Limits = (None, None)
_PLAIN = (int, float, type(None))


def limits_of(timeout: Any) -> Limits:
    """Of connecting and of reading. Raises ValueError as requests and urllib3 do for what is no timeout."""
    if timeout is None:
        return _NONE
    if isinstance(timeout, Timeout):
        # A limit of the whole is one of each part here, as in urllib3, which counts from the start.
        limits = timeout.clone()
        limits.start_connect()
        return _seconds(limits.connect_timeout), _seconds(limits.read_timeout)
    connect = read = timeout
    if isinstance(timeout, tuple):
        try:
            connect, read = timeout
        except ValueError:
            raise ValueError(
                f"Invalid timeout {timeout}. Pass a (connect, read) timeout tuple, or a single float for both."
            ) from None
    if type(connect) in _PLAIN and type(read) in _PLAIN:
        return _known_limits(connect, read)
    return _checked_limits(connect, read)


def _checked_limits(connect: Any, read: Any) -> Limits:
    limits = Timeout(connect=connect, read=read)
    return _seconds(limits.connect_timeout), _seconds(limits.read_timeout)


# A program has few timeouts, and urllib3 asks each of them what all it could be.
_known_limits = lru_cache(maxsize=256)(_checked_limits)


def _seconds(limit: Any) -> float | None:
    return float(limit) if isinstance(limit, (int, float)) else None
