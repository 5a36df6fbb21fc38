"""Commands that file permissions hold for, also as root: root may write where the permissions say that nobody may."""

from __future__ import annotations

import os

from tests.support.needs import require_program

_OVERRIDING = "-dac_override,-dac_read_search"


def bound_by_permissions() -> list[str]:
    """The beginning of a command that is run with its user's rights and no more. Empty for who is not root."""
    if os.geteuid() != 0:
        return []
    setpriv = require_program("setpriv", how="apt install util-linux")
    return [setpriv, f"--bounding-set={_OVERRIDING}", f"--inh-caps={_OVERRIDING}", "--"]
