"""The good answers are good, byte for byte. Raw sockets: no client may mend or hide anything."""

from __future__ import annotations

import gzip
import json
import zlib
from contextlib import closing

import brotli
import pytest

from tests.support.origin import Origin, body_of, charset_page
from tests.support.raw_http import connect, dechunk, header, read_answer, request, talk


@pytest.mark.parametrize("length", [0, 1, 60, 2_000, 65_536, 65_537, 300_001])
def test_a_body_has_its_length_and_is_always_the_same(origin: Origin, length: int) -> None:
    head, body = talk(origin, f"/ok/{length}?n=1")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert header(head, "Content-Type") == "text/html"
    assert len(body) == length
    assert body == body_of(length) == talk(origin, f"/big/{length}")[1]
    assert dechunk(talk(origin, f"/big-chunked/{length}")[1]) == body


def test_no_content_length_ends_with_the_connection(origin: Origin) -> None:
    head, body = talk(origin, "/no-content-length/3000", headers="")
    assert header(head, "Content-Length") is None
    assert header(head, "Transfer-Encoding") is None
    assert body == body_of(3_000)


def test_head_gets_no_body(origin: Origin) -> None:
    for path in ("/ok", "/big/5000", "/big-chunked/5000", "/truncate", "/gzip", "/redirect/2"):
        assert talk(origin, path, "HEAD")[1] == b""


def test_html_has_a_title_and_links(origin: Origin) -> None:
    head, body = talk(origin, "/html/seven")
    assert header(head, "Content-Type") == "text/html; charset=utf-8"
    assert "<title>Page seven of the origin</title>" in body.decode()
    assert body.count(b"<a href=") == 5


def test_json_is_json(origin: Origin) -> None:
    head, body = talk(origin, "/json")
    assert header(head, "Content-Type") == "application/json"
    assert json.loads(body)["text"] == "Grüße ✓"


@pytest.mark.parametrize("code", [200, 204, 304, 404, 418, 500, 799])
def test_status(origin: Origin, code: int) -> None:
    head, body = talk(origin, f"/status/{code}")
    assert head.startswith(b"HTTP/1.1 %d " % code)
    assert (body == b"") == (code in (204, 304))


def test_echo_shows_bodies_of_both_framings(origin: Origin) -> None:
    headers = "X-One: 1\r\nConnection: close\r\nContent-Length: 5\r\n"
    sized = talk(origin, "/echo?a=b", "POST", headers=headers, body=b"hello")
    said = json.loads(sized[1])
    assert (said["method"], said["target"], said["body"]) == ("POST", "/echo?a=b", "hello")
    assert ["x-one", "1"] in said["headers"]
    chunks = b"3\r\nhel\r\n2;extension\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
    headers = "Connection: close\r\nTransfer-Encoding: chunked\r\n"
    chunked = talk(origin, "/echo", "PUT", headers=headers, body=chunks)
    assert json.loads(chunked[1])["body"] == "hello"


def test_a_client_that_expects_100_is_invited(origin: Origin) -> None:
    with closing(connect(origin)) as connection:
        connection.sendall(request("/echo", "POST", "Expect: 100-continue\r\nContent-Length: 2\r\n"))
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"ok")
        assert json.loads(read_answer(connection)[1])["body"] == "ok"


def test_one_connection_carries_many_requests(origin: Origin) -> None:
    with closing(connect(origin)) as connection:
        for number in range(50):
            connection.sendall(request(f"/ok/{number}?n={number}", headers=""))
            assert read_answer(connection)[1] == body_of(number)
    assert origin.counts().connections == 1
    assert origin.counts().total == 50


def test_compressed_answers_unpack(origin: Origin) -> None:
    head, body = talk(origin, "/gzip/5000")
    assert header(head, "Content-Encoding") == "gzip"
    assert gzip.decompress(body) == body_of(5_000)
    head, body = talk(origin, "/deflate/5000")
    assert header(head, "Content-Encoding") == "deflate"
    assert zlib.decompress(body) == body_of(5_000)
    head, body = talk(origin, "/br/5000")
    assert header(head, "Content-Encoding") == "br"
    assert brotli.decompress(body) == body_of(5_000)


@pytest.mark.parametrize("decoded", [0, 1, 5_000_000])
def test_a_bomb_is_small_outside(origin: Origin, decoded: int) -> None:
    body = dechunk(talk(origin, f"/gzip-bomb/{decoded}")[1])
    assert len(body) < 100 + decoded / 500
    assert gzip.decompress(body) == bytes(decoded)
    body = talk(origin, f"/br-bomb/{decoded}")[1]
    assert len(body) < 100 + decoded / 500
    assert brotli.decompress(body) == bytes(decoded)


def test_bad_gzip_cannot_be_unpacked(origin: Origin) -> None:
    head, body = talk(origin, "/bad-gzip")
    assert header(head, "Content-Encoding") == "gzip"
    assert body.startswith(b"\x1f\x8b")
    with pytest.raises(zlib.error):
        gzip.decompress(body)


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "windows-1252", "koi8-r", "shift_jis", "gb2312", "euc-kr"])
def test_charsets(origin: Origin, encoding: str) -> None:
    head, body = talk(origin, f"/charset/{encoding}")
    assert header(head, "Content-Type") == f"text/html; charset={encoding}"
    assert body.decode(encoding) == charset_page(encoding)
    assert not body.isascii()
    head, body = talk(origin, f"/charset-meta/{encoding}")
    assert header(head, "Content-Type") == "text/html"
    assert f'<meta charset="{encoding}">'.encode() in body
    assert body.decode(encoding) == charset_page(encoding, declared_in_page=True)


def test_cookies(origin: Origin) -> None:
    head, _ = talk(origin, "/set-cookie?seen=yes&to=/need-cookie/seen")
    assert header(head, "Set-Cookie") == "seen=yes; Path=/"
    assert header(head, "Location") == "/need-cookie/seen"
    assert talk(origin, "/need-cookie/seen")[0].startswith(b"HTTP/1.1 403 ")
    cookie = "Cookie: other=1; seen=yes\r\nConnection: close\r\n"
    assert talk(origin, "/need-cookie/seen", headers=cookie)[0].startswith(b"HTTP/1.1 200 ")


def test_fresh_says_for_how_long(origin: Origin) -> None:
    head, body = talk(origin, "/fresh/60/300")
    assert header(head, "Cache-Control") == "max-age=60"
    assert body == body_of(300) == dechunk(talk(origin, "/fresh/60/300?chunked=1")[1])


def test_etag_is_asked_for(origin: Origin) -> None:
    head, body = talk(origin, "/etag/v1")
    assert (header(head, "ETag"), bool(body)) == ('"v1"', True)
    for asked, status in (('"v1"', b"304"), ('"v2"', b"200")):
        head, body = talk(origin, "/etag/v1", headers=f"If-None-Match: {asked}\r\nConnection: close\r\n")
        assert head.split()[1] == status
        assert bool(body) == (status == b"200")


def test_tokens_are_for_the_client_alone(origin: Origin) -> None:
    form = b"grant_type=client_credentials"
    headers = f"Connection: close\r\nContent-Length: {len(form)}\r\n"
    assert talk(origin, "/oauth2-token", "POST", headers=headers, body=form)[0].split()[1] == b"401"
    headers += "Authorization: Basic Y2xpZW50OnNlY3JldA==\r\n"
    token = json.loads(talk(origin, "/oauth2-token", "POST", headers=headers, body=form)[1])["access_token"]
    assert token == "by-client_credentials"
    for bearer, status in ((token, b"200"), ("other", b"401")):
        headers = f"Authorization: Bearer {bearer}\r\nConnection: close\r\n"
        assert talk(origin, f"/need-bearer/{token}", headers=headers)[0].split()[1] == status


def test_multipart_has_two_parts(origin: Origin) -> None:
    head, body = talk(origin, "/multipart")
    assert header(head, "Content-Type") == "multipart/mixed; boundary=edge"
    assert body.count(b"--edge\r\n") == 2
    assert body.endswith(b"--edge--\r\n")
