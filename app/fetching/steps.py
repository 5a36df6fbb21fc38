"""Steps: the methods of requests.Session of which a quick verb is the outcome, and whether they are still its own.

The law: who puts something in place of one of them, in a subclass, on a session or on requests' own classes (as tests
do that mock it), wants it to be gone. Verbs (`get`, `post`), `request` itself in a subclass, `mount` and
`get_adapter` are not among them: they come before, or are called.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import requests

_STEPS = (
    "send",
    "prepare_request",
    "merge_environment_settings",
    "resolve_redirects",
    "get_redirect_target",
    "rebuild_method",
    "rebuild_auth",
    "rebuild_proxies",
    "should_strip_auth",
)
_NAMES = frozenset(_STEPS)
_steps_of = attrgetter(*_STEPS)

# What our own class has in place of requests', which somebody may have replaced under it.
_beneath_of = attrgetter("request", "send")
_BENEATH = _beneath_of(requests.Session)

_ADAPTER_STEPS = ("send", "build_response", "add_headers")
_adapter_steps_of = attrgetter(*_ADAPTER_STEPS)

_NETRC = vars(requests.sessions)["get_netrc_auth"]


class Steps:
    """own: the class of sessions whose steps are known."""

    def __init__(self, own: type[requests.Session]) -> None:
        self._own = _steps_of(own)

    def are_own(self, session: requests.Session) -> bool:
        """Whether this session takes all its steps as `own` did when this was made."""
        return (
            bool(_steps_of(type(session)) == self._own)
            and bool(_beneath_of(requests.Session) == _BENEATH)
            and session.__dict__.keys().isdisjoint(_NAMES)
        )


class AdapterSteps:
    """The same for an adapter: what `send` is made of. own: the class of adapters whose steps are known."""

    def __init__(self, own: type[requests.adapters.HTTPAdapter]) -> None:
        self._own = _adapter_steps_of(own)

    def are_own(self, adapter: object) -> bool:
        """Whether this adapter sends and answers as `own` does."""
        kind: Any = type(adapter)
        return bool(_adapter_steps_of(kind) == self._own) and adapter.__dict__.keys().isdisjoint(_ADAPTER_STEPS)


def netrc_is_own() -> bool:
    """Whether requests looks for netrc files as it did when this was imported."""
    return vars(requests.sessions)["get_netrc_auth"] is _NETRC
