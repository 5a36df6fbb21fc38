"""The bytes of a capture, word for word and as two real readers see them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import itertools
import zlib
from collections.abc import Callable
from uuid import UUID, uuid4

from fastwarc import ArchiveIterator as FastIterator
from hypothesis import given, settings
from hypothesis import strategies as st

from app.fetching.exchanges import Exchange
from app.sinks.warc import capture, warcinfo
from tests.support.kept_shard import HEAD, records_of


def numbered() -> Callable[[], UUID]:
    numbers = itertools.count(1)
    return lambda: UUID(int=next(numbers))


def test_a_capture_word_for_word() -> None:
    first = Exchange(
        "http://h.test/a", b"GET /a HTTP/1.1\r\nHost: h.test\r\n\r\n", HEAD, b"moved", "HTTP/1.1", 0.5, False
    )
    last = Exchange("http://h.test/b", b"GET /b HTTP/1.1\r\n\r\n", HEAD, b"here", "HTTP/2", None, False, "2001:db8::1")
    made = capture([first, last], 7, UUID(int=99), numbered(), 86_400.0)
    text = gzip.decompress(made).decode()
    fields = {
        "WARC-Type": "response",
        "WARC-Record-ID": f"<{UUID(int=1).urn}>",
        "WARC-Date": "1970-01-01T00:00:00.500000Z",
        "WARC-Target-URI": "http://h.test/a",
        "WARC-Protocol": "http/1.1",
        "WARC-Payload-Digest": digest_of(b"moved"),
        "WARC-Block-Digest": digest_of(HEAD + b"moved"),
        "Content-Type": "application/http;msgtype=response",
        "Content-Length": str(len(HEAD) + 5),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    assert text.startswith(f"WARC/1.1\r\n{head}\r\n{HEAD.decode()}moved\r\n\r\nWARC/1.1\r\nWARC-Type: request\r\n")
    records = records_of(made)
    kinds = [record["WARC-Type"] for record, _ in records]
    assert kinds == ["response", "request", "response", "request", "metadata"]
    assert records[1][0]["WARC-Concurrent-To"] == f"<{UUID(int=1).urn}>"
    assert {record["WARC-Concurrent-To"] for record, _ in records[3:]} == {f"<{UUID(int=99).urn}>"}
    assert records[2][0]["WARC-Record-ID"] == f"<{UUID(int=99).urn}>"
    assert records[2][0]["WARC-Date"] == "1970-01-02T00:00:00.000000Z", "it does not know when it began"
    assert records[2][0]["WARC-Protocol"] == "h2"
    assert [record.get("WARC-IP-Address") for record, _ in records] == [None] * 2 + ["2001:db8::1"] * 3
    assert records[4][1] == b"percore-index: 7\r\nvia: http://h.test/a\r\nhopsFromSeed: R\r\n"
    assert len({record["WARC-Record-ID"] for record, _ in records}) == 5
    assert gzip_members(made) == 5


def digest_of(data: bytes) -> str:
    return f"sha1:{base64.b32encode(hashlib.sha1(data).digest()).decode()}"


def gzip_members(data: bytes) -> int:
    members = 0
    while data:
        unpacker = zlib.decompressobj(wbits=31)
        unpacker.decompress(data)
        assert unpacker.eof
        data = unpacker.unused_data
        members += 1
    return members


@settings(max_examples=150, deadline=None)
@given(
    body=st.binary(max_size=3000),
    request=st.binary(max_size=200),
    hops=st.integers(1, 3),
    url=st.sampled_from(["http://h.test/", "https://h.test:8443/a?b=%C3%A9"]),
    is_coded=st.booleans(),
    began_s=st.floats(0, 4e9),
)
def test_any_exchange_is_read_back_by_two_readers(
    body: bytes, request: bytes, hops: int, url: str, is_coded: bool, began_s: float
) -> None:
    exchange = Exchange(url, request, HEAD, body, "HTTP/1.1", began_s, is_coded)
    data = warcinfo(uuid4(), 0.0) + capture([exchange] * hops, 3, uuid4(), uuid4, 0.0)
    records = records_of(data)
    assert [record["WARC-Type"] for record, _ in records].count("response") == hops
    for record, block in records[1:]:
        assert record["WARC-Target-URI"] == url
        if record["WARC-Type"] == "response":
            assert block == HEAD + body
        elif record["WARC-Type"] == "request":
            assert block == request
    fast = [
        (record.headers["WARC-Type"], record.reader.read(), record.verify_block_digest())
        for record in FastIterator(io.BytesIO(data), parse_http=False)
    ]
    assert [(kind, block) for kind, block, _ in fast] == [(record["WARC-Type"], block) for record, block in records]
