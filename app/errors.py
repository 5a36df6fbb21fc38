"""Every exception that Percore raises on purpose, in one tree.

    PercoreError
    |-- UsageError            the person who called us can mend it: options, settings, input files (exit 2, HTTP 400)
    |   |-- SettingsError     a PERCORE_* variable is out of range or can't be read
    |   |-- UnknownStage      a stage name or import path that leads nowhere, or an argument that the stage refuses
    |   `-- InvalidRequest    a request (an input line, a JSON object) that can't be understood
    |-- BrokenInput           an input file can't be read on from here: it is damaged, or breaks off
    |-- FetchError            one request failed on the network; carries the outcome's ErrorKind
    |-- StageTimeout          a stage used up its CPU budget or its time
    |-- StageCrashed          the isolated process that ran a stage died
    |-- StageRaised           what a stage raised in another process
    |-- OutputError           records can't be written any more: disk full, folder gone
    |-- Interrupted           work was stopped on the way, by who asked for it; the same command does it again
    `-- Draining              nothing new is begun any more; the request has no outcome and is nobody's yet

Errors say what happened. What to do about it (repeat, record, stop) is decided in `app.policy`, never here.
"""

from __future__ import annotations

from app.model.outcome import ErrorKind


class PercoreError(Exception):
    """Base of all; `str()` is one line that a person can act on."""


class UsageError(PercoreError):
    """The caller can mend it; nothing was fetched."""


class SettingsError(UsageError):
    """A setting is out of range or of the wrong type."""


class UnknownStage(UsageError):
    """No stage of that name, no such `module:function`, or one that refuses its argument."""


class InvalidRequest(UsageError):
    """An input line or JSON object is no request. `kind` is the record's error kind."""

    def __init__(self, message: str, kind: ErrorKind = ErrorKind.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.kind = kind


class BrokenInput(PercoreError):
    """An input file can't be read on from here: it is damaged, or breaks off. `str()` follows on the file's name."""


class FetchError(PercoreError):
    """A fetch failed. `kind` is from the closed enum.

    is_local  this machine lacked what the fetch takes, a descriptor or memory: it says nothing of the origin
    """

    def __init__(self, kind: ErrorKind, message: str, *, is_local: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.is_local = is_local


class StageTimeout(PercoreError):
    """A stage used up its CPU budget or its time."""


class StageCrashed(PercoreError):
    """The isolated process that ran a stage died."""


class StageRaised(PercoreError):
    """What a stage raised in another process. `remote_traceback` is its text there."""

    def __init__(self, message: str, remote_traceback: str = "") -> None:
        super().__init__(message)
        self.remote_traceback = remote_traceback


class OutputError(PercoreError):
    """Records can't be stored. What was written before is whole and stays."""


class Interrupted(PercoreError):
    """Work was stopped on the way, by who had asked for it. Nothing is lost, and nothing failed."""


class Draining(PercoreError):
    """The engine begins nothing any more. Not a failure of the request: it has no outcome, and is tried later."""
