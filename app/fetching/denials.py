"""Denials: hosts whose addresses were denied, in the log.

A warning each: whoever runs a service wants to know of those who try. A batch has them in its records, and they are
details to it.
"""

from __future__ import annotations

import logging

from app.policy.addresses import Denial

_log = logging.getLogger("percore.fetching.denials")


def log_denial(host: str, denial: Denial) -> None:
    """Tell of it."""
    _log.warning("%s: %s", host, denial.detail)


def are_details() -> None:
    """Have this process tell of them only when it tells of everything (log level debug)."""
    if not logging.getLogger("percore").isEnabledFor(logging.DEBUG):
        _log.setLevel(logging.ERROR)
