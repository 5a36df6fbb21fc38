"""Skips for want of a program are listed at the end of a run, and are failures where everything must run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
LACKING = """
    from tests.support.needs import require_program, require_folder

    def test_program():
        require_program("no-such-program", how="apt install it")

    def test_same_program():
        require_program("no-such-program", "nor-this-one", how="apt install it")

    def test_folder():
        require_folder("/no/such/folder*", how="apt install that")

    def test_other_skip():
        import pytest
        pytest.skip("no need of ours")
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("PERCORE_TEST_REQUIRE", raising=False)
    pytester.makeconftest(CONFTEST.read_text())
    return pytester


def test_skips_are_listed_with_the_way_out(run: pytest.Pytester) -> None:
    run.makepyfile(LACKING)
    result = run.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(skipped=4)
    result.stdout.fnmatch_lines(
        [
            "*skipped for want of something*",
            "1 skipped for want of /no/such/folder[*]: apt install that",
            "2 skipped for want of no-such-program: apt install it",
        ]
    )
    result.stdout.no_fnmatch_line("*for want of no need of ours*")


def test_they_fail_where_everything_must_run(run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCORE_TEST_REQUIRE", "1")
    run.makepyfile(LACKING)
    run.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(failed=3, skipped=1)


def test_a_whole_module_may_need_something(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        from tests.support.needs import require_program
        require_program("no-such-program", how="apt install it")
        def test_never(): raise AssertionError
        """
    )
    result = run.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["1 skipped for want of no-such-program: apt install it"])


def test_nothing_lacking_nothing_said(run: pytest.Pytester) -> None:
    program = Path(sys.executable).name
    run.makepyfile(f"""
        from tests.support.needs import require_folder, require_program
        def test_there(monkeypatch):
            assert require_program("no-such-program", "{program}", "sh", how="-").startswith("/")
            assert str(require_folder("/us[r]", how="-")) == "/usr"
    """)
    result = run.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*for want of*")
