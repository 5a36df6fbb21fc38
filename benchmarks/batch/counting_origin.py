"""The origin that counts: `python -m benchmarks.batch.counting_origin COUNT` prints its port, and serves.

`/page/N` answers with the page of that number after its delay. `/counts` gives how often each was asked for, once
nobody else is connected: what a killed client had sent has been read by then. `/when/N` answers when N pages have been
answered in all, `/when/all` when every page has been. An answer that finds its connection closed counts as none.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

from benchmarks.batch.pages import body_of, delay_s


class State:
    """What was asked and answered; who is connected, and who waits for what."""

    def __init__(self, count: int) -> None:
        self.bodies = [body_of(number) for number in range(count)]
        self.delays_s = [delay_s(number) for number in range(count)]
        self.asked = [0] * count
        self.answered = 0
        self.missing = set(range(count))
        self.connected = 0
        self._waiting: list[tuple[Callable[[], bool], Callable[[], None]]] = []

    def when(self, condition: Callable[[], bool], then: Callable[[], None]) -> None:
        """`then` is called once, as soon as the condition holds."""
        self._waiting.append((condition, then))
        self.changed()

    def changed(self) -> None:
        """Something did."""
        due = [one for one in self._waiting if one[0]()]
        self._waiting = [one for one in self._waiting if one not in due]
        for _, then in due:
            then()


class Connection(asyncio.Protocol):
    """Requests have no bodies here; each is answered on its own, in the order in which their delays end."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._read = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._state.connected += 1

    def connection_lost(self, _: Exception | None) -> None:
        self._state.connected -= 1
        self._state.changed()

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            self._asked(head.split(b" ", 2)[1].decode())

    def _asked(self, path: str) -> None:
        state = self._state
        _, what, *rest = path.split("/")
        if what == "page":
            number = int(rest[0])
            state.asked[number] += 1
            self._loop.call_later(state.delays_s[number], self._page, number)
        elif what == "counts":
            state.when(lambda: state.connected == 1, lambda: self._say(json.dumps(state.asked).encode()))
        elif rest == ["all"]:
            state.when(lambda: not state.missing, lambda: self._say(b""))
        else:
            state.when(lambda: state.answered >= int(rest[0]), lambda: self._say(b"%d" % state.answered))

    def _page(self, number: int) -> None:
        if self._transport.is_closing():
            return
        self._say(self._state.bodies[number])
        self._state.answered += 1
        self._state.missing.discard(number)
        self._state.changed()

    def _say(self, body: bytes) -> None:
        if not self._transport.is_closing():
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


async def _serve(count: int) -> None:
    state = State(count)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
