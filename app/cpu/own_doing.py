"""Own doing: whether a function under a scheduler raised something by itself, or somebody else meant its greenlet.

A kill and ctrl-C come to whatever runs just then, and look inside it as if it had raised them. The law: what was
thrown into the run's greenlet is somebody else's; so is a KeyboardInterrupt that no `raise` statement made, or that
the program's own handler did. All else is the function's own doing.
"""

from __future__ import annotations

import signal
from dis import opmap
from types import CodeType

from app.cpu.run import run_of_caller

_RAISE = opmap["RAISE_VARARGS"]


def is_own_doing(error: BaseException) -> bool:
    """To be asked inside the run, by whoever has caught it there. Does not yield."""
    run = run_of_caller()
    if run is not None and isinstance(error, tuple(run.thrown)):
        return False
    return not isinstance(error, KeyboardInterrupt) or _is_by_statement(error)


def _is_by_statement(error: BaseException) -> bool:
    """Where the default handler raises, the interpreter is at a call, a loop's end or a function's beginning."""
    handler = signal.getsignal(signal.SIGINT)
    handling: CodeType | None = getattr(getattr(handler, "__func__", handler), "__code__", None)
    step, at = error.__traceback__, -1
    while step is not None:
        code = step.tb_frame.f_code
        if code is handling:
            return False
        at = code.co_code[step.tb_lasti]
        step = step.tb_next
    return at == _RAISE
