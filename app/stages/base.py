"""Stage: a named function Page -> JSON value, and the decorator that makes one.

A stage says what it does with one page, where it wants to run and what it may use up; running it is the engine's
affair. What it raises becomes a failed outcome of kind `stage_failed` that names it; it never ends the run.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, get_args, overload

import msgspec

from app.errors import UsageError
from app.fetching.page import Page
from app.stages.definition import ARGUMENT, name_of, takes_earlier
from app.stages.reference import reference_of

RunsIn = Literal["worker", "thread", "process"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,99}")

# It stands as a key in every record.
_ARGUMENT_CHARACTERS = 1000
_REASON_CHARACTERS = 400

P = ParamSpec("P")
R = TypeVar("R")


class Stage(msgspec.Struct, frozen=True):
    """A stage, still callable as the plain function that it was.

    name           its key in a record
    function       called with the page and, if takes_earlier, the earlier values
    runs_in        "worker": on the hub's own thread, in slices, one stage at a time
                   "thread": in a native thread that may use every CPU; for code that releases the GIL
                   "process": in an isolated process, which may crash or be killed; a large page is copied there
    cpu_budget_s   CPU seconds that it may use for one page, when it runs in the worker
    timeout_s      seconds that it may take for one page in a thread or process; in the worker, that it may wait for
                   anything but its turn: a sleep, a lock, a fetch of its own
    preempt        whether its slices may be ended anywhere in its Python code, not only at a `checkpoint()`
    inline_bytes   of a "thread" stage: a body of up to so many bytes is worked on in the worker, outside of slices
    takes_earlier  whether it is given the values of the stages before it
    reference      "module:function" for one that runs in a process, else ""
    argument       what stood after the name and "=", None if nothing did
    read_argument  makes of that text what the function is given as `argument`; None if it takes none
    """

    name: str
    function: Callable[..., Any]
    runs_in: RunsIn = "worker"
    cpu_budget_s: float = 10.0
    timeout_s: float = 60.0
    preempt: bool = True
    takes_earlier: bool = False
    reference: str = ""
    argument: str | None = None
    read_argument: Callable[[str], Any] | None = None
    inline_bytes: int = 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.function(*args, **options)

    @property
    def summary(self) -> str:
        """The first line of the function's docstring, "" without one."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def value_of(self, page: Page, earlier: Mapping[str, Any]) -> Any:
        """Call it as it wants to be called, here and now. Raises what it raises."""
        return self.function(page, earlier) if self.takes_earlier else self.function(page)

    def called(self, name: str) -> Stage:
        """The same stage under another name."""
        return self if name == self.name else msgspec.structs.replace(self, name=name)

    def with_argument(self, text: str) -> Stage:
        """The stage that `name=text` means: text, read by the stage's own reader, becomes its `argument`.

        Raises UsageError when the stage takes none, or its reader refuses this one by a ValueError.
        """
        if self.read_argument is None:
            raise UsageError(f"stage {self.name!r} takes no argument, so {self.name}={text} means nothing")
        if len(text) > _ARGUMENT_CHARACTERS:
            raise UsageError(f"stage {self.name!r}: its argument is longer than {_ARGUMENT_CHARACTERS} characters")
        try:
            text.encode()  # what a terminal handed over may be no text
            read = self.read_argument(text)
        except (ValueError, RecursionError) as error:
            why = " ".join(str(error).split())
            raise UsageError(f"stage {self.name}={text[:80]!a}: {why[:_REASON_CHARACTERS]}") from error
        function = partial(self.function, **{ARGUMENT: read})
        return msgspec.structs.replace(self, name=f"{self.name}={text}", function=function, argument=text)


class TypedStage(Stage, Generic[P, R], frozen=True):
    """What `@stage` leaves: a Stage whose parameters and value type checkers know."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **options: P.kwargs) -> R: ...


@overload
def stage(name: Callable[P, R], /) -> TypedStage[P, R]: ...


@overload
def stage(
    name: str | None = None,
    *,
    runs_in: RunsIn = "worker",
    cpu_budget_s: float = 10.0,
    timeout_s: float = 60.0,
    preempt: bool = True,
    argument: Callable[[str], Any] | None = None,
    inline_bytes: int = 0,
) -> Callable[[Callable[P, R]], TypedStage[P, R]]: ...


def stage(
    name: str | Callable[..., Any] | None = None,
    *,
    runs_in: RunsIn = "worker",
    cpu_budget_s: float = 10.0,
    timeout_s: float = 60.0,
    preempt: bool = True,
    argument: Callable[[str], Any] | None = None,
    inline_bytes: int = 0,
) -> Any:
    """Decorator over a function from a Page to a JSON value: `@stage`, `@stage("name")`, `@stage(runs_in="thread")`.

    The function may have a second parameter, the values of the stages before it: a read-only mapping from name to
    JSON value. What it was it stays: call it with a page, and it returns its value.

    name          the stage's key in records; by default the function's own name
    argument      makes a stage that is called as `name=TEXT` too. It is called with TEXT, once, before anything is
                  fetched, and may refuse it by a ValueError; what it returns is given to the function as the keyword
                  `argument`, which needs a default for when the stage is called by its name alone
    inline_bytes  for runs_in="thread": a body of up to so many bytes is too little work to be carried to a thread,
                  which costs some 20 us. Choose it so that such a body never takes more than 0.1 ms: that is done in
                  the worker, where nothing interrupts it and no limit holds
    The others are those of Stage.
    Raises UsageError for a name that could not stand as a key, limits that are no positive numbers, a function that
    can't be a stage, or one that is to run in a process that would not find it again.
    """
    if callable(name):
        return _made(name, None, "worker", 10.0, 60.0, True, None, 0)

    def wrap(function: Callable[..., Any]) -> Stage:
        return _made(function, name, runs_in, cpu_budget_s, timeout_s, preempt, argument, inline_bytes)

    return wrap


def _made(
    function: Any,
    name: str | None,
    runs_in: RunsIn,
    cpu_budget_s: Any,
    timeout_s: Any,
    preempt: bool,
    read_argument: Callable[[str], Any] | None,
    inline_bytes: Any,
) -> TypedStage[..., Any]:
    if isinstance(function, Stage):
        raise UsageError(f"stage {function.name!r} is one already; @stage stands over the plain function")
    if not callable(function):
        raise UsageError(f"@stage stands over a function, not over a {type(function).__name__}")
    name = str(getattr(function, "__name__", "") if name is None else name)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"stage name {name!r} ({name_of(function)}): use at most 100 letters, digits and _ . : -, beginning with "
            f"a letter"
        )
    if runs_in not in get_args(RunsIn):
        known = ", ".join(repr(place) for place in get_args(RunsIn))
        raise UsageError(f"stage {name!r}: runs_in={runs_in!r} is none of {known}")
    for limit, value in (("cpu_budget_s", cpu_budget_s), ("timeout_s", timeout_s)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise UsageError(f"stage {name!r}: {limit}={value!r} is no positive number of seconds")
    if isinstance(inline_bytes, bool) or not isinstance(inline_bytes, int) or inline_bytes < 0:
        raise UsageError(f"stage {name!r}: inline_bytes={inline_bytes!r} is no number of bytes")
    if inline_bytes and runs_in != "thread":
        raise UsageError(f"stage {name!r}: inline_bytes is for runs_in='thread', not for {runs_in!r}")
    return TypedStage(
        name,
        function,
        runs_in,
        float(cpu_budget_s),
        float(timeout_s),
        bool(preempt),
        takes_earlier(function, has_argument=read_argument is not None),
        reference_of(function) if runs_in == "process" else "",
        None,
        read_argument,
        inline_bytes,
    )
