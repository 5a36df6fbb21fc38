"""An HTTP/3 server for tests (aioquic): `python -m tests.support.quic CERTIFICATE KEY`; its first line is the port.

GET /N answers with N bytes, and with the number of requests that its connection had before in `x-before`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aioquic.asyncio import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

from tests.support.processes import running_process


@contextmanager
def running_quic(certificate: Path, key: Path) -> Iterator[int]:
    """A server of its own process; the UDP port that it has on 127.0.0.1."""
    with running_process([sys.executable, "-P", "-m", "tests.support.quic", certificate, key]) as process:
        yield int(process.wait_for_line("", stream="stdout"))


class _Connection(QuicConnectionProtocol):
    _http: H3Connection | None = None
    _before = 0

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        if self._http is None:
            return
        for happened in self._http.handle_event(event):
            if isinstance(happened, HeadersReceived):
                path = dict(happened.headers)[b":path"].decode()
                body = b"q" * int(path.strip("/").partition("?")[0])
                headers = [(b":status", b"200"), (b"content-length", b"%d" % len(body))]
                self._http.send_headers(happened.stream_id, [*headers, (b"x-before", b"%d" % self._before)])
                self._http.send_data(happened.stream_id, body, end_stream=True)
                self._before += 1
                self.transmit()


async def _serve(certificate: str, key: str) -> None:
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
    configuration.load_cert_chain(certificate, key)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: QuicServer(configuration=configuration, create_protocol=_Connection), local_addr=("127.0.0.1", 0)
    )
    print(transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
