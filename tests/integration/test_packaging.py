"""`pip install .` gives the same as a checkout; the lock files agree with setup.cfg and with each other."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.checkouts import HANG_GUARD_S, ROOT

SOURCES = ("app", "workers", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "gunicorn.conf.py")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PERCORE_"))}
    return subprocess.run(
        command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=HANG_GUARD_S, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with percore installed by pip, and the dependencies of this one within sight."""
    base = tmp_path_factory.mktemp("install")
    source = base / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, source / name)
    target = base / "target"
    made = run(sys.executable, "-m", "venv", "--without-pip", target, cwd=base)
    assert made.returncode == 0, made.stderr
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (target / "lib" / version / "site-packages" / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # Neither a registry nor a build environment: setuptools comes from the test extra.
    offline = ["--no-build-isolation", "--no-deps", "--no-index"]
    pip = run(target / "bin" / "python", "-P", "-m", "pip", "install", *offline, source, cwd=base)
    assert pip.returncode == 0, pip.stdout + pip.stderr
    return target


@pytest.mark.parametrize("command", ["percore-serve", "percore-fetch-batch"])
def test_installed_commands_run(installed: Path, tmp_path: Path, command: str) -> None:
    said = run(installed / "bin" / command, "--help", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "Usage" in said.stdout or "usage" in said.stdout


def test_installed_modules_are_the_installed_ones(installed: Path, tmp_path: Path) -> None:
    code = "import app.settings, workers; print(app.__file__); print(workers.__file__)"
    said = run(installed / "bin" / "python", "-c", code, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert all(line.startswith(f"{installed}/") for line in said.stdout.splitlines())


def test_every_module_is_installed(installed: Path) -> None:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site_packages = installed / "lib" / version / "site-packages"
    for package in ("app", "workers"):
        ours = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py")}
        theirs = {path.relative_to(site_packages) for path in (site_packages / package).rglob("*.py")}
        assert ours
        assert ours == theirs
    assert not (site_packages / "tests").exists()


def test_gunicorn_conf_is_installed(installed: Path) -> None:
    conf = installed / "share" / "percore" / "gunicorn.conf.py"
    assert conf.read_bytes() == (ROOT / "gunicorn.conf.py").read_bytes()


def normal(name: str) -> str:
    """A project's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {normal(name): version for name, version in found}


def wanted(section: str, option: str) -> set[str]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    names = re.findall(r"^([A-Za-z0-9._-]+)", parser[section][option].strip(), re.MULTILINE)
    return {normal(name) for name in names}


def test_locks_hold_what_setup_cfg_asks_for() -> None:
    runtime = wanted("options", "install_requires")
    assert runtime <= pins("requirements.lock").keys()
    assert runtime | wanted("options.extras_require", "test") <= pins("requirements-test.lock").keys()


def test_test_lock_contains_the_runtime_lock() -> None:
    assert pins("requirements.lock").items() <= pins("requirements-test.lock").items()


def test_what_requests_own_tests_run_with_is_what_we_run_with() -> None:
    suite, test = pins("tests/requests_suite/requirements.lock"), pins("requirements-test.lock")
    assert pins("requirements.lock").items() <= suite.items()
    assert {name: test[name] for name in suite.keys() & test.keys()}.items() <= suite.items()


LOCKS = ["requirements.lock", "requirements-test.lock", "tests/requests_suite/requirements.lock"]


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_pin_by_hash_and_name_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text()
    logical = text.replace("\\\n", " ").splitlines()
    requirements = [line for line in logical if line.strip() and not line.lstrip().startswith("#")]
    assert requirements
    assert all("--hash=sha256:" in line for line in requirements)
    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash", ""), re.MULTILINE)


def test_this_environment_is_the_locked_one() -> None:
    """Whoever runs these tests otherwise than by bin/test learns that versions differ."""
    from importlib.metadata import PackageNotFoundError, version

    different = {}
    for name, pinned in pins("requirements-test.lock").items():
        try:
            have = version(name)
        except PackageNotFoundError:
            have = "none"
        if have != pinned:
            different[name] = (have, pinned)
    assert not different
