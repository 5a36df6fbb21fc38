"""Which of requests' own tests can't pass on our transport, each with its reason."""

from __future__ import annotations

from typing import NamedTuple


class Exclusion(NamedTuple):
    """test: its id, or that without parameters; raises: how it fails, and nothing else is let pass."""

    test: str
    reason: str
    raises: type[BaseException] = AssertionError
    modes: tuple[str, ...] = ("session", "adapter")

    def covers(self, nodeid: str) -> bool:
        return nodeid == self.test or nodeid.partition("[")[0] == self.test


_POOLS = (
    "at its end it counts the pools of the adapter's urllib3 PoolManager, and libcurl keeps connections elsewhere. What"
    " it is about, that a connection made without verification never serves a request with it, has a test of ours:"
    " tests/integration/adapter/test_tls.py"
)
_CLASS = "tests/test_requests.py::TestPreparingURLs::test_different_connection_pool_for_tls_settings_verify_"

EXCLUSIONS = [
    Exclusion(f"{_CLASS}True", _POOLS),
    Exclusion(f"{_CLASS}bundle_expired_cert", _POOLS),
    Exclusion(f"{_CLASS}bundle_unexpired_cert", _POOLS),
]
