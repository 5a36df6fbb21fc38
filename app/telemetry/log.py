"""Logging set-up: one plain line an event on standard error, the same for the service and for a batch.

Standard logging, loggers named "percore.*". What other libraries log is left alone: it goes where whoever runs
us has set it up to go, or by Python's default to standard error from `warning` up.
"""

from __future__ import annotations

import logging
import re
import time

ROOT_LOGGER = "percore"

# A URL or an origin's words inside a message must not be able to forge a line, or to steer a terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class PlainFormatter(logging.Formatter):
    """`2025-11-22T18:00:00.123Z WARNING percore.engine [4711] message`, in UTC; a traceback follows below."""

    default_msec_format = "%s.%03dZ"
    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s [%(process)d] %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """The base class leaves milliseconds out as soon as a date format is given."""
        return self.default_msec_format % (super().formatTime(record, datefmt), record.msecs)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """One line, whatever the message holds."""
        return _CONTROL.sub(lambda found: ascii(found.group())[1:-1], super().formatMessage(record))


def configure(level: str) -> None:
    """Send Percore's own log lines to standard error. Call it once a process; a second call only sets the level.

    level  debug, info, warning or error
    """
    logger = logging.getLogger(ROOT_LOGGER)
    logger.setLevel(level.upper())
    logger.propagate = False
    if not any(isinstance(handler.formatter, PlainFormatter) for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(PlainFormatter())
        logger.addHandler(handler)
