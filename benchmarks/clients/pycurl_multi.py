"""pycurl alone: libcurl's multi interface in one plain epoll loop, no greenlets, no responses. A limit, not a peer.

The same pycurl as Percore's: what it does beyond this loop is what Percore pays for being convenient.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator

import pycurl

from benchmarks.clients.protocol import FETCH_TIMEOUT_S, Meter, Task, parse_task, versions_of

_LONGEST_WAIT_S = 0.05  # the clock of the benchmark is looked at this often


class _Loop:
    """One multi handle, its sockets in an epoll set, and an easy handle per fetch in flight."""

    def __init__(self, task: Task, meter: Meter) -> None:
        self._task = task
        self._meter = meter
        self._epoll = select.epoll()
        self._registered: set[int] = set()
        self._due_s: float | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, task.concurrency * 2)
        self._urls: dict[pycurl.Curl, tuple[int, Iterator[str]]] = {}
        self._sizes = [0] * task.concurrency
        for worker in range(task.concurrency):
            self._add(self._easy(worker))

    def _easy(self, worker: int) -> pycurl.Curl:
        sizes = self._sizes

        def write(piece: bytes) -> None:
            sizes[worker] += len(piece)

        curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.TIMEOUT_MS, int(FETCH_TIMEOUT_S * 1000))
        # Its DNS cache would be gone through after every transfer (thousands of hosts), and there are no names here.
        curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)
        curl.setopt(pycurl.WRITEFUNCTION, write)
        if self._task.ca_bundle:
            curl.setopt(pycurl.CAINFO, self._task.ca_bundle)
        if self._task.http2:
            curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
            curl.setopt(pycurl.PIPEWAIT, 1)
        self._urls[curl] = (worker, self._task.urls_of(worker))
        return curl

    def _add(self, curl: pycurl.Curl) -> None:
        worker, urls = self._urls[curl]
        self._sizes[worker] = 0
        curl.setopt(pycurl.URL, next(urls))
        self._multi.add_handle(curl)

    def _on_socket(self, event: int, fd: int, multi: object, data: object) -> None:
        if event == pycurl.POLL_REMOVE:
            if fd in self._registered:
                self._registered.discard(fd)
                self._epoll.unregister(fd)
            return
        mask = (select.EPOLLIN if event & pycurl.POLL_IN else 0) | (select.EPOLLOUT if event & pycurl.POLL_OUT else 0)
        if fd in self._registered:
            self._epoll.modify(fd, mask)
        else:
            self._registered.add(fd)
            self._epoll.register(fd, mask)

    def _on_timer(self, timeout_ms: int) -> None:
        self._due_s = None if timeout_ms < 0 else time.perf_counter() + timeout_ms / 1000

    def run_until(self, end_s: float) -> None:
        """Turn until that moment of the performance counter."""
        socket_action = self._multi.socket_action
        while (now_s := time.perf_counter()) < end_s:
            wait_s = _LONGEST_WAIT_S if self._due_s is None else max(0.0, min(self._due_s - now_s, _LONGEST_WAIT_S))
            for fd, events in self._epoll.poll(wait_s, 512):
                ready = pycurl.CSELECT_IN if events & ~select.EPOLLOUT else 0
                socket_action(fd, ready | (pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0))
            if self._due_s is not None and time.perf_counter() >= self._due_s:
                self._due_s = None
                socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._collect()

    def _collect(self) -> None:
        left = 1
        while left:
            left, done, failed = self._multi.info_read(1000)
            for curl in done:
                worker = self._urls[curl][0]
                self._meter.answered(worker, curl.getinfo(pycurl.RESPONSE_CODE), self._sizes[worker])
                self._multi.remove_handle(curl)
                self._add(curl)
            for curl, number, message in failed:
                self._meter.failed(self._urls[curl][0], f"curl {number}: {message}")
                self._multi.remove_handle(curl)
                self._add(curl)


def main() -> None:
    """Warm up, count, say."""
    task = parse_task()
    meter = Meter(task)
    loop = _Loop(task, meter)
    loop.run_until(time.perf_counter() + task.warm_up_s)
    meter.begin()
    loop.run_until(time.perf_counter() + task.duration_s)
    meter.finish({**versions_of("pycurl"), "libcurl": pycurl.version_info()[1]})


if __name__ == "__main__":
    main()
