from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app.errors import UnknownStage, UsageError
from app.stages import Page, Stage, stage
from app.stages.base import TypedStage
from app.stages.registry import resolve
from app.stages.testing import make_page


def words(page: Page) -> int:
    return len(page.text.split())


def of_earlier(page: Page, earlier: Mapping[str, Any]) -> list[str]:
    return list(earlier)


def test_bare_called_and_named() -> None:
    page = make_page("a b c")
    for decorated, name in ((stage(words), "words"), (stage()(words), "words"), (stage("n.1:x-y")(words), "n.1:x-y")):
        assert isinstance(decorated, Stage)
        assert (decorated.name, decorated(page), decorated.value_of(page, {})) == (name, 3, 3)
        assert (decorated.runs_in, decorated.cpu_budget_s, decorated.timeout_s) == ("worker", 10.0, 60.0)
        assert (decorated.preempt, decorated.takes_earlier, decorated.reference) == (True, False, "")


def test_what_is_asked_for_is_kept() -> None:
    made = stage("w", runs_in="process", cpu_budget_s=1, timeout_s=2.5, preempt=False)(words)
    assert (made.runs_in, made.cpu_budget_s, made.timeout_s, made.preempt) == ("process", 1.0, 2.5, False)
    assert made.reference == "tests.unit.test_stage_definition:words"
    assert stage(runs_in="thread", inline_bytes=100)(words).inline_bytes == 100


def _with_default(page: Page, least: int = 3) -> int:
    return least


def _with_default_earlier(page: Page, earlier: Mapping[str, Any] | None = None) -> Any:
    return earlier


def _with_rest(*pages: Page) -> int:
    return len(pages)


class _Callable:
    def __call__(self, page: Page, earlier: Mapping[str, Any]) -> int:
        return len(earlier)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (words, False),
        (of_earlier, True),
        (_with_default, False),
        (_with_default_earlier, True),
        (_with_rest, False),
        (functools.partial(_with_default, least=2), False),
        (len, False),
    ],
)
def test_who_takes_the_earlier_values(function: Callable[..., Any], expected: bool) -> None:
    assert stage("x")(function).takes_earlier is expected


def test_the_earlier_values_are_given_to_who_takes_them() -> None:
    page, earlier = make_page("a"), {"title": "T", "n": 1}
    assert stage("x")(of_earlier).value_of(page, earlier) == ["title", "n"]
    assert stage("x")(_Callable()).value_of(page, earlier) == 2
    assert stage("x")(_with_default).value_of(page, earlier) == 3


async def _coroutine(page: Page) -> int:
    return 1


def _generator(page: Page) -> Any:
    yield 1


def _no_page() -> int:
    return 1


def _three(page: Page, earlier: Mapping[str, Any], third: int) -> int:
    return 1


def _keyword(page: Page, *, wanted: int) -> int:
    return wanted


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_coroutine, "_coroutine is an `async def`"),
        (_generator, "_generator is a generator"),
        (_no_page, "_no_page takes no page; write it as `def _no_page"),
        (_three, "_three wants third too"),
        (_keyword, "_keyword wants wanted too"),
        (3, "stands over a function, not over a int"),
        (stage(words), "'words' is one already"),
    ],
)
def test_functions_that_are_no_stage(function: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stage("x")(function)


@pytest.mark.parametrize("name", ["", "two words", "1st", "a" * 101, 'a"b', "a=b"])
def test_names_that_could_not_be_keys(name: str) -> None:
    with pytest.raises(UsageError, match="stage name"):
        stage(name)(words)


def test_what_has_no_name_needs_one() -> None:
    with pytest.raises(UsageError, match="stage name '<lambda>'"):
        stage(lambda page: 1)
    with pytest.raises(UsageError, match=r"stage name '' \(partial\)"):
        stage(functools.partial(words))
    assert stage("ok")(lambda page: 1).name == "ok"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs_in": "gpu"}, "runs_in='gpu' is none of 'worker', 'thread', 'process'"),
        ({"runs_in": None}, "runs_in=None"),
        *(
            ({limit: value}, f"{limit}=.* is no positive number of seconds")
            for limit in ("cpu_budget_s", "timeout_s")
            for value in (0, -1, math.inf, math.nan, "1", None, True)
        ),
        *(
            ({"runs_in": "thread", "inline_bytes": value}, f"inline_bytes={value!r} is no number of bytes")
            for value in (-1, 1.5, "1", None, True)
        ),
        ({"inline_bytes": 1}, "inline_bytes is for runs_in='thread', not for 'worker'"),
        ({"runs_in": "process", "inline_bytes": 1}, "inline_bytes is for runs_in='thread', not for 'process'"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stage("x", **options)(words)


def _closure() -> Callable[[Page], int]:
    def inner(page: Page) -> int:
        return 1

    return inner


def _of_main(page: Page) -> int:
    return 1


_of_main.__module__ = "__main__"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda page: 1, "not as a lambda or inside a function"),
        (_closure(), "not as a lambda or inside a function"),
        (_of_main, "put it into a module of its own"),
        (functools.partial(words), "no function of a module"),
        (_Callable(), "no function of a module"),
    ],
)
def test_what_a_process_would_not_find_again(function: Callable[..., Any], message: str) -> None:
    assert stage("x")(function).name == "x"
    with pytest.raises(UsageError, match=message):
        stage("x", runs_in="process")(function)


# In the module, `hidden` is another function than the one that became a stage.
def hidden(page: Page) -> int:
    return 1


first_hidden = stage("first", runs_in="process")(hidden)


def hidden(page: Page) -> int:  # type: ignore[no-redef]
    return 2


@stage(runs_in="process")
def isolated(page: Page) -> int:
    return 3


aliased = stage("other", runs_in="process")(words)


def test_a_process_stage_is_looked_for_before_anything_is_fetched() -> None:
    here = "tests.unit.test_stage_definition:"
    assert resolve([here + "isolated", here + "aliased"], import_paths=True) == (isolated, aliased)
    with pytest.raises(UnknownStage, match="test_stage_definition:hidden leads to something else"):
        resolve([here + "first_hidden"], import_paths=True)


def _at_least(text: str) -> int:
    if int(text) < 1:
        raise ValueError("less than one is nothing")
    return int(text)


@stage(argument=_at_least)
def head(page: Page, *, argument: int = 5) -> str:
    return page.text[:argument]


def test_an_argument_is_read_once_and_given_to_the_function() -> None:
    page = make_page("abcdefgh")
    assert head(page) == "abcde"
    two = head.with_argument("2")
    assert (two.name, two.argument, two.value_of(page, {})) == ("head=2", "2", "ab")
    assert isinstance(two, TypedStage)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "stage head='x': invalid literal for int"),
        ("0", "stage head='0': less than one is nothing"),
        ("", "stage head='': invalid literal"),
        ("1" * 1001, "longer than 1000 characters"),
        ("\udcff", r"stage head='\\udcff'.*surrogates not allowed"),
    ],
)
def test_arguments_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        head.with_argument(text)


def test_arguments_by_name() -> None:
    path = "tests.unit.test_stage_definition:head"
    found = resolve([path, f"{path}=2", f"{path}=3"], import_paths=True)
    assert [one.name for one in found] == ["head", "head=2", "head=3"]
    with pytest.raises(UnknownStage, match="stage 'title' takes no argument, so title=x means nothing"):
        resolve(["title=x"])
    with pytest.raises(UnknownStage, match="less than one"):
        resolve([f"{path}=0"], import_paths=True)
    with pytest.raises(UnknownStage, match="'head=2' is named twice"):
        resolve([f"{path}=2", f"{path}=2"], import_paths=True)
    with pytest.raises(UnknownStage, match="no stage"):
        resolve([f"{path}=2"])
