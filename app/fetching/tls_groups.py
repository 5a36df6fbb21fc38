"""Key exchange groups: which ones TLS offers, and for which it sends a key share at once.

Making a share of X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem) takes 15 % of a handshake's instructions, and OpenSSL by
itself makes one for every connection, beside that of X25519. What is offered without a share a server can still have:
it asks for one with a HelloRetryRequest, at the price of a round trip (RFC 8446 sections 4.1.4 and 4.2.8). So the
post-quantum exchange is there for all who prefer it, and the others cost us nothing. Cloudflare connects to origins in
the same way (its documentation: "Post-quantum between Cloudflare and origin servers", mode "supported").
"""

from __future__ import annotations

import re

import pycurl

from app.fetching.profile import AUTO_TLS_GROUPS

# OpenSSL's own list (TLS_DEFAULT_GROUP_LIST in ssl/t1_lib.c, 3.6), but for the share of the first group: "*" before a
# name sends one, "?" passes over a group that this OpenSSL was built without (SSL_CTX_set1_groups_list(3)).
SHARE_OF_X25519_ONLY = "?X25519MLKEM768:?*X25519:?secp256r1:?X448:?secp384r1:?secp521r1:?ffdhe2048:?ffdhe3072"

_OPENSSL = re.compile(r"OpenSSL/(\d+)\.(\d+)")
_FIRST_WITH_SHARES = (3, 5)


def default_groups(tls_library: str) -> str:
    """What "auto" stands for: `SHARE_OF_X25519_ONLY`, or "" (the library's own choice) where that is not understood.

    tls_library  as libcurl names it, such as "OpenSSL/3.6.5"
    """
    found = _OPENSSL.match(tls_library)
    if found is None or tuple(map(int, found.groups())) < _FIRST_WITH_SHARES:
        return ""
    return SHARE_OF_X25519_ONLY


_DEFAULT = default_groups(pycurl.version_info()[5] or "")


def named_groups(tls_groups: str) -> str:
    """A Profile's `tls_groups` in the form of CURLOPT_SSL_EC_CURVES(3); "" is for libcurl not to be told any."""
    return _DEFAULT if tls_groups == AUTO_TLS_GROUPS else tls_groups
