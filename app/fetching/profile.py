"""Profile: what stays the same from one transfer to the next on a handle of libcurl's. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

HttpVersion = Literal["1.1", "2", "3"]

AUTO_TLS_GROUPS = "auto"
"""The groups that `app.fetching.tls_groups` names."""


class Profile(NamedTuple):
    """Transfers share handles with those of the same profile only.

    verify          False, or a file or folder of CA certificates; True is certifi's
    cert            the client's: a PEM file, or (certificate, key)
    proxy           URL with credentials, "" for none: http, https, socks4, socks4a, socks5 or socks5h
    http            the best version to offer
    max_wire_bytes  of a body as it comes over the wire; 0 is no limit
    tls_groups      key exchange groups to offer, in the form of CURLOPT_SSL_EC_CURVES(3); "" leaves it to OpenSSL,
                    "auto" is ours
    """

    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxy: str = ""
    http: HttpVersion = "2"
    max_wire_bytes: int = 0
    tls_groups: str = AUTO_TLS_GROUPS


@lru_cache(maxsize=256)
def profile_for(
    scheme: str,
    http: HttpVersion,
    tls_groups: str,
    verify: bool | str,
    cert: str | tuple[str, str] | None = None,
    proxy: str = "",
    max_wire_bytes: int = 0,
) -> Profile:
    """For URLs of that scheme; the same one for the same words. The rest as the attributes.

    Without TLS there is HTTP/1.1 only, so libcurl need not look for connections to share, and nothing to verify.
    """
    is_secure = scheme == "https"
    return Profile(
        verify if is_secure or proxy.startswith("https:") else True,
        cert,
        proxy,
        http if is_secure else "1.1",
        max_wire_bytes,
        tls_groups,
    )
