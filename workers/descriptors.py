"""Descriptors: as many as the system lets us have. A process in flight with hundreds of fetches needs them."""

from __future__ import annotations

import resource


def raise_limit() -> None:
    """Raise the soft limit on open files to the hard one. The soft one is 1,024 on most systems, for select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
