from __future__ import annotations

import pycurl
import pytest

from app.fetching import CurlAdapter, Session
from app.fetching.profile import AUTO_TLS_GROUPS, Profile
from app.fetching.tls_groups import SHARE_OF_X25519_ONLY, default_groups, named_groups
from app.settings import Settings


@pytest.mark.parametrize("library", ["OpenSSL/3.5.0", "OpenSSL/3.6.5", "OpenSSL/3.10.1", "OpenSSL/4.0.0-dev"])
def test_libraries_that_can_be_told_of_key_shares(library: str) -> None:
    assert default_groups(library) == SHARE_OF_X25519_ONLY


@pytest.mark.parametrize(
    "library",
    ["OpenSSL/3.4.9", "OpenSSL/3.0.19", "OpenSSL/1.1.1w", "LibreSSL/4.1.0", "BoringSSL", "quictls/3.5.0", ""],
)
def test_libraries_that_are_left_to_themselves(library: str) -> None:
    assert default_groups(library) == ""


def test_only_the_default_is_translated() -> None:
    assert named_groups("auto") == default_groups(pycurl.version_info()[5])
    assert named_groups("") == ""
    assert named_groups("P-256") == "P-256"


def test_everybody_has_the_same_default() -> None:
    adapter = Session().get_adapter("https://")
    assert isinstance(adapter, CurlAdapter)
    defaults = {CurlAdapter().tls_groups, adapter.tls_groups, Profile().tls_groups, Settings().tls_groups}
    assert defaults == {AUTO_TLS_GROUPS}
