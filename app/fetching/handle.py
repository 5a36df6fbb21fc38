"""Handle: libcurl's easy handle as it is set up for a profile.

The law: a handle is set up once and serves many transfers of its profile, one at a time. What differs from transfer to
transfer is set by each (app.fetching.transfer): setting everything anew would cost more than the request.
"""

from __future__ import annotations

import os

import certifi
import pycurl

from app.fetching.profile import Profile
from app.fetching.tls_groups import named_groups

_HTTP_VERSIONS = {
    "1.1": pycurl.CURL_HTTP_VERSION_1_1,
    "2": pycurl.CURL_HTTP_VERSION_2TLS,  # by ALPN; HTTP/1.1 without TLS
    "3": pycurl.CURL_HTTP_VERSION_3,  # over QUIC, and the others if there is none
}

# CURLOPT_SUPPRESS_CONNECT_HEADERS(3), without a name in pycurl: a proxy's answer to CONNECT is not the server's.
_SUPPRESS_CONNECT_HEADERS = 265

# libcurl's own default is 16 KiB: a page in one or two pieces costs fewer calls.
_BUFFER_BYTES = 64 * 1024

NO_CONNECT_LIMIT_MS = 2**31 - 1
"""What says to libcurl that connecting has no limit of its own: 0 would be libcurl's own 300 s."""


def new_handle(profile: Profile) -> pycurl.Curl:
    """A handle without callbacks, ready for transfers of `profile`."""
    curl = pycurl.Curl()
    setopt = curl.setopt
    setopt(pycurl.NOSIGNAL, 1)
    setopt(pycurl.NOPROGRESS, 1)
    setopt(pycurl.BUFFERSIZE, _BUFFER_BYTES)
    setopt(pycurl.CONNECTTIMEOUT_MS, NO_CONNECT_LIMIT_MS)
    # Names are ours (app.fetching.curl_dialing): libcurl keeps what we tell it, until we tell otherwise. Its own
    # pruning takes time in proportion to all names, after each transfer.
    setopt(pycurl.DNS_CACHE_TIMEOUT, -1)
    # The URL is sent as it is given; it was made canonical before.
    setopt(pycurl.PATH_AS_IS, 1)
    setopt(pycurl.HTTP_VERSION, _HTTP_VERSIONS[profile.http])
    setopt(pycurl.MAXFILESIZE_LARGE, profile.max_wire_bytes)
    # Not "unset", with which libcurl would look into the environment.
    setopt(pycurl.PROXY, profile.proxy)
    setopt(_SUPPRESS_CONNECT_HEADERS, 1)
    if profile.proxy:
        setopt(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)
    _set_up_tls(curl, profile)
    return curl


def _set_up_tls(curl: pycurl.Curl, profile: Profile) -> None:
    setopt = curl.setopt
    # With a file libcurl keeps the parsed certificates for all transfers of the multi handle.
    authorities = certifi.where() if profile.verify is True else profile.verify
    for prefix in ("", "PROXY_"):
        if not authorities:
            setopt(getattr(pycurl, f"{prefix}SSL_VERIFYPEER"), 0)
            setopt(getattr(pycurl, f"{prefix}SSL_VERIFYHOST"), 0)
        else:
            # Nothing besides: libcurl may have been built with a place of its own.
            told, other = ("CAPATH", "CAINFO") if os.path.isdir(authorities) else ("CAINFO", "CAPATH")
            curl.unsetopt(getattr(pycurl, prefix + other))
            setopt(getattr(pycurl, prefix + told), authorities)
    # libcurl keeps two sessions of each of the last 25 hosts: of many connections to few hosts, or to many, next to
    # none is resumed (13 % and 0 % in a trial), and keeping them costs a twentieth of each handshake.
    setopt(pycurl.SSL_SESSIONID_CACHE, 0)
    if groups := named_groups(profile.tls_groups):
        setopt(pycurl.SSL_EC_CURVES, groups)
    if profile.cert:
        certificate, key = (profile.cert, None) if isinstance(profile.cert, str) else profile.cert
        setopt(pycurl.SSLCERT, certificate)
        setopt(pycurl.SSLKEY, key or certificate)
