from __future__ import annotations

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.canonical import canonical_url


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("http://a/b?c=d&e", "http://a/b?c=d&e"),
        ("HTTP://A.Example:80", "http://a.example/"),
        ("https://a:443/", "https://a/"),
        ("https://a:80/", "https://a:80/"),
        ("http://a/#part", "http://a/"),
        ("http://a?q#part", "http://a/?q"),
        ("http://a/?", "http://a/?"),
        ("http://a/%7euser/%c3%a9", "http://a/~user/%C3%A9"),
        ("http://a/\u00e9", "http://a/%C3%A9"),
        ("http://a/%2F", "http://a/%2F"),
        ("http://a/b/./c/../d", "http://a/b/d"),
        ("http://a/b/..", "http://a/"),
        ("http://a/../../b", "http://a/b"),
        ("http://a//b", "http://a//b"),
        ("http://a/?x=/../y", "http://a/?x=/../y"),
        ("http://a/?b=1&a=2", "http://a/?b=1&a=2"),
        ("http://U:P@A/", "http://U:P@a/"),
        ("http://[::1]:80/", "http://[::1]/"),
        ("http://a/100%", "http://a/100%"),
        ("http://a/100%/%7e", "http://a/100%/%7e"),
        ("no url", "no url"),
        ("http://a:x/", "http://a:x/"),
        ("ftp://A/", "ftp://A/"),
        ("http://", "http://"),
        ("", ""),
    ],
)
def test_one_spelling(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical
    assert canonical_url(canonical) == canonical


@given(st.text(alphabet="htp:/.?#%2eEaB~ @[]1\u00e9;=", max_size=30))
def test_a_canonical_url_is_its_own(text: str) -> None:
    for url in (text, f"http://a/{text}"):
        assert canonical_url(canonical_url(url)) == canonical_url(url)


@settings(deadline=None)
@given(st.text(alphabet="./?%7e2EaB~;=&+", max_size=20))
def test_urls_of_one_spelling_are_sent_as_one(path: str) -> None:
    """What requests makes of a URL, which is what is sent, does not tell the canonical one from the given."""
    url = f"http://a/{path}"
    sent = {canonical_url(requests.Request("GET", each).prepare().url or "") for each in (url, canonical_url(url))}
    assert len(sent) == 1
