"""requests-oauthlib: what was signed goes over the wire (OAuth 1); tokens are got, used and renewed (OAuth 2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import pytest
import requests
from oauthlib.oauth2 import BackendApplicationClient
from oauthlib.oauth2.rfc6749.errors import InvalidClientError
from requests_oauthlib import OAuth1, OAuth1Session, OAuth2Session

from app.fetching import Session
from tests.requests_suite.users.conftest import on_curl
from tests.support.origin import Origin


def signature(echoed: dict[str, Any], base: str, secrets: str) -> tuple[str, str]:
    """The HMAC-SHA1 signature that RFC 5849 section 3.4 wants for what came, and the one that was there."""
    headers = dict(echoed["headers"])
    given = {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', headers["authorization"])}
    claimed = given.pop("oauth_signature")
    path, _, query = echoed["target"].partition("?")
    pairs = [*given.items(), *parse_qsl(query, keep_blank_values=True)]
    if headers.get("content-type") == "application/x-www-form-urlencoded":
        pairs += parse_qsl(echoed["body"], keep_blank_values=True)
    encoded = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs)
    parameters = "&".join(f"{name}={value}" for name, value in encoded)
    text = "&".join(quote(part, safe="~") for part in (echoed["method"], base + path, parameters))
    return base64.b64encode(hmac.new(secrets.encode(), text.encode(), hashlib.sha1).digest()).decode(), claimed


@pytest.mark.parametrize("kind", ["auth on adapter", "auth on session", "session on adapter"])
def test_oauth1_signature(kind: str, origin: Origin) -> None:
    keys = ("key", "secret", "token", "token secret")
    session: requests.Session
    if kind == "session on adapter":
        session = on_curl(OAuth1Session(*keys))
    else:
        session = Session() if kind == "auth on session" else on_curl(requests.Session())
        session.auth = OAuth1(*keys)
    url = origin.url("/echo?b=2&a=ü&c=%20x&d=")
    for echoed in (session.get(url).json(), session.post(url, data={"form": "a b", "z": "ß"}).json()):
        wanted, claimed = signature(echoed, origin.base, "secret&token%20secret")
        assert claimed == wanted


class OurOAuth2Session(OAuth2Session, Session):  # type: ignore[misc]
    """Its session on ours."""


@pytest.fixture(params=["adapter", "session"])
def make_session(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # the origin speaks no TLS

    def make(**options: Any) -> Any:
        made = OAuth2Session if request.param == "adapter" else OurOAuth2Session
        session = made(client=BackendApplicationClient(client_id="client"), **options)
        return on_curl(session) if request.param == "adapter" else session

    return make


def test_oauth2_token(make_session: Any, origin: Origin) -> None:
    session = make_session()
    token = session.fetch_token(origin.url("/oauth2-token"), client_id="client", client_secret="secret")
    assert token["access_token"] == "by-client_credentials"
    assert session.get(origin.url("/need-bearer/by-client_credentials")).status_code == 200
    assert session.get(origin.url("/need-bearer/another")).status_code == 401
    with pytest.raises(InvalidClientError):
        session.fetch_token(origin.url("/oauth2-token"), client_id="client", client_secret="wrong")


def test_oauth2_token_is_renewed(make_session: Any, origin: Origin) -> None:
    renewed: list[Any] = []
    session = make_session(
        token={"access_token": "old", "refresh_token": "again", "token_type": "Bearer", "expires_in": -10},
        auto_refresh_url=origin.url("/oauth2-token"),
        token_updater=renewed.append,
    )
    answer = session.get(origin.url("/need-bearer/by-refresh_token"), client_id="client", client_secret="secret")
    assert answer.status_code == 200
    assert [token["access_token"] for token in renewed] == ["by-refresh_token"]
