"""bin/ builds the environment on first use and keeps it current, whatever comes in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.checkouts import HANG_GUARD_S, Checkout, WheelServer, make_python, make_wheel

NO_ENVIRONMENT = 69
PRINT_VERSION = "import tiny; print(tiny.VERSION)"
PRINT_FOLDER = "import sys; print(sys.prefix)"
OLD = "import sys; sys.version_info = (3, 8, 18)"
NO_VENV = 'import sys; sys.modules["ensurepip"] = None'


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The lock lines of tiny 1 and 2 and of other 1, whose wheels lie in the folder `wheels["folder"]`."""
    folder = tmp_path_factory.mktemp("wheels")
    lines = {"tiny1": ("tiny", "1.0"), "tiny2": ("tiny", "2.0"), "other": ("other", "1.0")}
    return {"folder": str(folder)} | {key: make_wheel(folder, *what) for key, what in lines.items()}


@pytest.fixture(scope="module")
def first_use(
    wheels: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkout, subprocess.CompletedProcess[str]]:
    """A checkout in which one command has run, and what it said. Copy it before changing it."""
    base = tmp_path_factory.mktemp("first use")  # with a space in it
    checkout = Checkout.create(base / "check out", base / "programs", wheels["folder"], wheels["tiny1"])
    make_python(checkout.programs / "python3")
    return checkout, checkout.run("python", "-c", PRINT_VERSION)


@pytest.fixture
def built(first_use: tuple[Checkout, subprocess.CompletedProcess[str]], tmp_path: Path) -> Checkout:
    """A copy, at another place, of a checkout with an environment."""
    return first_use[0].copy_to(tmp_path / "a copy")


@pytest.fixture
def fresh(wheels: dict[str, str], tmp_path: Path) -> Checkout:
    """A checkout without an environment and without any Python on PATH."""
    return Checkout.create(tmp_path / "fresh one", tmp_path / "programs", wheels["folder"], wheels["tiny1"])


@pytest.fixture
def held(fresh: Checkout) -> Iterator[WheelServer]:
    """A wheel server that lets pip wait; `fresh` takes its wheels from there and has a python3."""
    make_python(fresh.programs / "python3")
    with WheelServer(Path(fresh.wheels)).running() as server:
        fresh.wheels = server.address
        yield server


def test_first_use_builds_and_says_so(
    first_use: tuple[Checkout, subprocess.CompletedProcess[str]],
) -> None:
    _, said = first_use
    assert (said.returncode, said.stdout) == (0, "1.0\n"), said.stderr
    assert "first use" in said.stderr
    assert "installing 1 packages from requirements.lock" in said.stderr
    assert "environment ready" in said.stderr


def test_later_uses_say_nothing(first_use: tuple[Checkout, subprocess.CompletedProcess[str]]) -> None:
    again = first_use[0].run("python", "-c", PRINT_VERSION)
    assert (again.returncode, again.stdout, again.stderr) == (0, "1.0\n", "")


def test_moved_checkout_keeps_its_environment(built: Checkout) -> None:
    said = built.run("python", "-c", "import app, tiny; print(app.__file__)")
    assert said.stderr == ""
    assert said.stdout == f"{built.root}/app/__init__.py\n"


def test_users_own_app_does_not_shadow_ours(built: Checkout, tmp_path: Path) -> None:
    """From a folder with an `app`, through a link to a link to the command."""
    home = tmp_path / "user's folder"
    (home / "app").mkdir(parents=True)
    (home / "app" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    (home / "sysconfig.py").write_text("raise SystemExit('the wrong one')\n")
    (home / "first link").symlink_to(built.root / "bin" / "python")
    (home / "link").symlink_to("first link")
    said = built.run("./link", "-c", "import app; print(app.__file__)", cwd=home)
    assert said.stdout == f"{built.root}/app/__init__.py\n", said.stderr
    assert said.stderr == ""


def test_the_linked_python_finds_the_checkout_too(built: Checkout, tmp_path: Path) -> None:
    """An editor starts `.venv/bin/python`, and what it starts is seen from the link, not from the folder."""
    command = [built.root / ".venv" / "bin" / "python", "-P", "-c", "import app; print(app.__file__)"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert out == f"{built.root}/app/__init__.py\n"


def test_changed_lock_rebuilds_and_running_programs_keep_theirs(built: Checkout, wheels: dict[str, str]) -> None:
    old = built.start("python", "-c", f"print('up', flush=True); input(); {PRINT_VERSION}")
    with old:
        assert old.stdout is not None
        assert old.stdout.readline() == "up\n"
        built.write_locks(wheels["tiny2"])
        said = built.run("python", "-c", PRINT_VERSION)
        assert said.stdout == "2.0\n", said.stderr
        assert "out of date" in said.stderr
        assert old.communicate("\n", timeout=HANG_GUARD_S)[0] == "1.0\n"


def test_only_unused_environments_are_removed(built: Checkout, wheels: dict[str, str]) -> None:
    def folders() -> set[str]:
        return {path.name for path in (built.root / ".venvs").iterdir() if path.is_dir()}

    (first,) = folders()
    with built.start("python", "-c", "print('up', flush=True); input()") as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "up\n"
        built.write_locks(wheels["tiny2"])
        built.run("python", "-c", "pass")
        built.write_locks(wheels["other"])
        built.run("python", "-c", "pass")
        assert first in folders()  # neither the current nor the previous one, but in use
        assert len(folders()) == 3
        user.communicate("\n", timeout=HANG_GUARD_S)
    built.write_locks(wheels["tiny2"])  # still there as the previous one: taken up again, nothing is built
    said = built.run("python", "-c", PRINT_VERSION)
    assert (said.stdout, said.stderr) == ("2.0\n", "")
    assert first not in folders()
    assert len(folders()) == 2


def test_test_environment_serves_runtime_commands(built: Checkout, wheels: dict[str, str]) -> None:
    built.write_locks(wheels["tiny1"], test=wheels["other"])
    bench = built.run("bench")
    assert "installing 2 packages from requirements-test.lock" in bench.stderr
    runtime = built.run("python", "-c", f"import other; {PRINT_FOLDER}")
    assert runtime.stderr == ""
    assert runtime.stdout == bench.stdout == f"{os.path.realpath(built.root / '.venv')}\n"
    # A change of the tools alone is none for a runtime command, and one for the others.
    built.write_locks(wheels["tiny1"], test="# nothing\n")
    assert built.run("python", "-c", "pass").stderr == ""
    assert "installing 1 packages" in built.run("bench").stderr


def test_what_a_users_own_stages_need_is_in_every_environment(built: Checkout, wheels: dict[str, str]) -> None:
    own = built.root / "requirements-local.txt"
    own.write_text("# of mymod\nother>=1\n")
    said = built.run("python", "-c", "import other; print(other.VERSION)")
    assert said.stdout == "1.0\n", said.stderr
    assert "installing what requirements-local.txt lists" in said.stderr
    assert built.run("python", "-c", "import other").stderr == "", "it is current"
    built.write_locks(wheels["tiny2"], test="# tools\n")
    built.run("bench")
    assert built.run("python", "-c", f"import other; {PRINT_VERSION}").stdout == "2.0\n", "it outlives a change"
    own.unlink()
    assert built.run("python", "-c", "import other").returncode == 1


def test_a_users_own_list_changes_no_locked_package(built: Checkout, wheels: dict[str, str]) -> None:
    (built.root / "requirements-local.txt").write_text("tiny==2.0\n")
    said = built.run("python", "-c", PRINT_VERSION)
    assert (said.returncode, said.stdout) == (NO_ENVIRONMENT, "")
    assert "could not install what requirements-local.txt lists" in said.stderr
    assert "constraint" in said.stderr
    (built.root / "requirements-local.txt").write_text("tiny\n")
    assert built.run("python", "-c", PRINT_VERSION).stdout == "1.0\n"


def test_two_first_uses_at_once(fresh: Checkout, held: WheelServer) -> None:
    with fresh.start("python", "-c", PRINT_VERSION) as first:
        assert held.arrived.wait(HANG_GUARD_S)
        with fresh.start("python", "-c", PRINT_VERSION) as second:
            assert second.stderr is not None
            assert "waiting" in second.stderr.readline()
            held.go_on.set()
            assert second.communicate(timeout=HANG_GUARD_S) == ("1.0\n", "")
        stdout, stderr = first.communicate(timeout=HANG_GUARD_S)
    assert stdout == "1.0\n", stderr
    assert stderr.count("environment ready") == 1


@pytest.mark.parametrize("how", ["everything", "only the builder", "interrupt"])
def test_stopped_half_way(fresh: Checkout, held: WheelServer, how: str) -> None:
    with fresh.start("python", "-c", PRINT_VERSION) as process:
        assert held.arrived.wait(HANG_GUARD_S)
        if how == "everything":
            os.killpg(process.pid, signal.SIGKILL)
        elif how == "only the builder":
            (builder,) = psutil.Process(process.pid).children()
            builder.kill()
        else:
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(HANG_GUARD_S) == 130
            assert process.stderr is not None
            assert "interrupted" in process.stderr.read()
        process.wait(HANG_GUARD_S)
        assert not (fresh.root / ".venv").exists()
        # After "only the builder" its pip still waits for the server: the next builder must keep out until it ends.
        with fresh.start("python", "-c", PRINT_VERSION) as second:
            assert second.stderr is not None
            line = second.stderr.readline()
            assert ("waiting" if how == "only the builder" else "first use") in line
            held.go_on.set()
            stdout, stderr = second.communicate(timeout=HANG_GUARD_S)
    assert stdout == "1.0\n", stderr
    assert "installing 1 packages" in stderr


def test_failed_install_shows_why_and_changes_nothing(built: Checkout, wheels: dict[str, str]) -> None:
    before = os.readlink(built.root / ".venv")
    built.write_locks(wheels["tiny2"].replace("sha256:", "sha256:00")[:-3] + "\n")
    said = built.run("python", "-c", PRINT_VERSION)
    assert said.returncode == NO_ENVIRONMENT
    assert "do not match the hashes" in said.stderr.lower()
    assert "nothing was changed" in said.stderr
    assert os.readlink(built.root / ".venv") == before
    assert [path.name for path in (built.root / ".venvs").iterdir() if path.is_dir()] == [os.path.basename(before)]


def test_foreign_venv_is_left_alone(fresh: Checkout) -> None:
    make_python(fresh.programs / "python3")
    (fresh.root / ".venv").mkdir()
    said = fresh.run("python", "-c", "pass")
    assert said.returncode == NO_ENVIRONMENT
    assert "move it away" in said.stderr
    assert (fresh.root / ".venv").is_dir()


def test_vanished_interpreter_is_replaced(built: Checkout) -> None:
    """As after an upgrade of the system's Python: the environment's link leads nowhere."""
    python = built.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    said = built.run("python", "-c", PRINT_VERSION)
    assert said.stdout == "1.0\n", said.stderr
    assert "environment ready" in said.stderr


def test_another_named_python_when_python3_is_too_old(fresh: Checkout) -> None:
    make_python(fresh.programs / "python3", OLD)
    make_python(fresh.programs / "python3.12")
    said = fresh.run("python", "-c", PRINT_VERSION)
    assert said.stdout == "1.0\n", said.stderr


def test_percore_python_decides(built: Checkout, tmp_path: Path) -> None:
    mine = make_python(tmp_path / "my pythons" / "mine")
    make_python(built.programs / "python3.11", OLD)
    # The interpreter behind it is the one that the environment has: nothing to build, and nothing from then on.
    for _ in range(2):
        said = built.run("python", "-c", PRINT_VERSION, PERCORE_PYTHON=str(mine))
        assert (said.stdout, said.stderr) == ("1.0\n", "")
    real = str(Path(sys.executable).resolve())
    assert built.run("python", "-c", PRINT_VERSION, PERCORE_PYTHON=real).stderr == ""
    (built.programs / "python3.11").unlink()
    refused = built.run("python", "-c", "pass", PERCORE_PYTHON=str(make_python(tmp_path / "old", OLD)))
    assert refused.returncode == NO_ENVIRONMENT
    assert f"PERCORE_PYTHON={tmp_path}/old is Python 3.8.18" in refused.stderr


@pytest.mark.parametrize(
    ("prelude", "words"),
    [
        (OLD, ["is Python 3.8.18", "3.11 or newer", "PERCORE_PYTHON"]),
        (NO_VENV, ["no venv module", "apt install python3-venv"]),
        ('import sys; sys.implementation.name = "pypy"', ["is pypy", "needs CPython"]),
        (None, ["no python3 on PATH", "3.11 or newer"]),
    ],
)
def test_unfit_python_is_explained(fresh: Checkout, prelude: str | None, words: list[str]) -> None:
    if prelude is not None:
        make_python(fresh.programs / "python3", prelude)
    said = fresh.run("python", "-c", "pass")
    assert said.returncode == NO_ENVIRONMENT
    assert len(said.stderr.splitlines()) <= 2
    assert all(word in said.stderr for word in words), said.stderr


def test_other_systems_are_refused_in_one_line(fresh: Checkout) -> None:
    said = fresh.run("fetch-batch", OSTYPE="darwin23")
    assert said.returncode == NO_ENVIRONMENT
    assert said.stderr == "percore: Percore runs on Linux only; this is darwin23.\n"
