"""What the commands import is in the runtime lock: the test environment, which has more, must not hide a lack."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import distributions

import pytest

from tests.support.processes import ROOT

# Started as the test environment's Python, but blind to every package that the runtime lock does not list.
BLIND = """
import sys
hidden = set(sys.argv[1].split(","))
class Blind:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r} in the runtime lock")
sys.meta_path.insert(0, Blind())
from gevent import monkey
monkey.patch_all()
import importlib
importlib.import_module(sys.argv[2])
"""


def names_in(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE))


def modules_of(packages: set[str]) -> set[str]:
    """Top-level modules of installed packages."""
    modules: set[str] = set()
    for distribution in distributions():
        if re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower() in packages:
            for file in distribution.files or []:
                top = file.parts[0]
                if top.endswith(".py") or (len(file.parts) > 1 and top.isidentifier()):
                    modules.add(top.removesuffix(".py"))
    return modules


@pytest.mark.parametrize(
    "module", ["workers.pinned", "workers.serve", "app.wsgi", "workers.fetch_batch", "workers.batch_worker"]
)
def test_it_is_enough_for(module: str) -> None:
    only_for_tests = names_in("requirements-test.lock") - names_in("requirements.lock")
    hidden = modules_of(only_for_tests) - modules_of(names_in("requirements.lock"))
    assert {"pytest", "hypothesis", "mypy"} <= hidden
    command = [sys.executable, "-P", "-c", BLIND, ",".join(hidden), module]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
