"""Lazy: public names of a package, each imported when somebody asks for it (PEP 562).

For packages whose names need gevent or libcurl while other modules of theirs do not: an isolated child imports those,
and whoever imports a module imports its package first. In the package:

    if TYPE_CHECKING:
        from app.cpu.sliced import run_sliced
    else:
        __getattr__, __dir__ = lazily(__name__, {"run_sliced": "app.cpu.sliced"})

A name must not be that of a module of the package: importing the module would put it there under that name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` for a package.

    modules  name -> the module that has it. It is looked up there once, then it is the package's own
    """

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        own = vars(sys.modules[package])
        found = own[name] = getattr(import_module(modules[name]), name)
        return found

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return find, names
