"""The log's lines, and how they are set up."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

from app.telemetry.log import ROOT_LOGGER, PlainFormatter, configure

LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def _logger_as_it_was() -> Iterator[None]:
    logger = logging.getLogger(ROOT_LOGGER)
    before = (logger.level, logger.propagate, logger.handlers[:])
    logger.handlers.clear()
    yield
    logger.setLevel(before[0])
    logger.propagate = before[1]
    logger.handlers[:] = before[2]


def test_one_plain_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    logging.getLogger("percore.engine").warning("%d of %s", 3, "four")
    logging.getLogger("percore.engine").debug("not asked for")
    assert re.fullmatch(LINE + r" WARNING percore\.engine \[\d+\] 3 of four\n", capsys.readouterr().err)


def test_a_second_call_sets_the_level_and_doubles_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    configure("error")
    logging.getLogger("percore.x").info("unheard")
    configure("debug")
    logging.getLogger("percore.x").debug("heard")
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(" heard")


def test_a_message_can_neither_forge_a_line_nor_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    logging.getLogger("percore.x").info("url %s", "http://a/\n2025 ERROR forged\x1b[2J\u2028\x9b, déjà")
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(r"url http://a/\n2025 ERROR forged\x1b[2J\u2028\x9b, déjà")


def test_a_traceback_follows_its_line() -> None:
    record = logging.LogRecord("percore.x", logging.ERROR, __file__, 1, "it met\na defect", (), None)
    try:
        raise ValueError("why")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    first, *rest = PlainFormatter().format(record).splitlines()
    assert first.endswith(r"it met\na defect")
    assert rest[0].startswith("Traceback")
    assert rest[-1] == "ValueError: why"
