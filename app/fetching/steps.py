"""Steps: the methods of requests.Session of which a quick verb is the outcome, and whether they are still its own.

The law: who puts something in place of one of them, in a subclass, on a session or on requests' own classes (as tests
do that mock it), wants it to be gone. Verbs (`get`, `post`), `request` itself in a subclass, `mount` and
`get_adapter` are not among them: they come before, or are called.
"""

from __future__ import annotations

from operator import attrgetter

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
