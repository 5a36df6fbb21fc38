from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from app.fetching.denials import are_details, log_denial
from app.policy.addresses import Denial


@pytest.fixture
def told() -> Iterator[list[logging.LogRecord]]:
    """What comes to the log of all that is ours, at level warning."""
    found: list[logging.LogRecord] = []
    ours, denials = logging.getLogger("percore"), logging.getLogger("percore.fetching.denials")
    before = ours.level, denials.level
    handler = logging.Handler()
    handler.emit = found.append  # type: ignore[method-assign]
    ours.setLevel(logging.WARNING)
    ours.addHandler(handler)
    try:
        yield found
    finally:
        ours.removeHandler(handler)
        for logger, level in zip((ours, denials), before, strict=True):
            logger.setLevel(level)


DENIAL = Denial("10.0.0.1", "it is private")


def test_a_service_is_warned(told: list[logging.LogRecord]) -> None:
    log_denial("inside.example", DENIAL)
    assert [(one.levelname, one.getMessage()) for one in told] == [
        ("WARNING", "inside.example: 10.0.0.1 may not be contacted: it is private")
    ]


def test_where_they_are_details_it_takes_debug(told: list[logging.LogRecord]) -> None:
    are_details()
    log_denial("inside.example", DENIAL)
    assert told == []
    logging.getLogger("percore.fetching.denials").setLevel(logging.NOTSET)
    logging.getLogger("percore").setLevel(logging.DEBUG)
    are_details()
    log_denial("inside.example", DENIAL)
    assert len(told) == 1
