"""PinnedWorker: gunicorn's pywsgi gevent worker, with a stop that is quick, a drain that is exact, a deadman.

How it ends, and by whom:

    TERM       drain: take no more connections, end the idle ones, finish what is in flight, leave. Wakes the hub
               through the signal pipe; nothing polls.
    INT, QUIT  leave from inside the signal handler: no greenlet switch, no lock, no exception that a stage
               could swallow. What is in flight is cut.
    deadman    the hub has not turned for `deadman_s`: faulthandler's own thread, which needs no GIL, writes where
               every thread is and ends the process. gunicorn's `timeout` (SIGABRT, then SIGKILL) comes after it
               and has nothing to tell; gunicorn.conf.py keeps the two apart.

gunicorn's master replaces the worker in each case but its own stop.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from gevent import get_hub, monkey
from gevent.event import Event
from gunicorn.http.wsgi import base_environ
from gunicorn.workers.ggevent import VERSION, GeventPyWSGIWorker

from workers.connections import Server

BOOT_S = 60.0
"""A worker that has not come up in this time is taken for stuck (importing the application takes about 1 s)."""

_ALL_SIGNALS = signal.valid_signals()
_UNPATCHED_IS_FINE = ("app.errors", "app.model", "app.policy", "app.settings", "app.telemetry")
_PATCHED = ("os", "select", "signal", "socket", "ssl", "subprocess", "threading", "time")


class PinnedWorker(GeventPyWSGIWorker):
    """What gunicorn.conf.py's `pre_fork` sets, for one worker:

    core             the CPU it is to be pinned to; None when it isn't
    drain_timeout_s  how long requests in flight may go on after TERM
    deadman_s        see the module's text
    heartbeat_s      at most so long between two heartbeats, and until an orphaned worker notices
    """

    core: int | None = None
    drain_timeout_s: float = 5.0
    deadman_s: float = 30.0
    heartbeat_s: float = 1.0

    def init_process(self) -> None:
        # Until base's init_signals, the master's handlers would swallow a signal. There is nothing to drain yet.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self.handle_quit)
        self._arm_deadman(max(BOOT_S, self.deadman_s))
        super().init_process()

    def patch(self) -> None:
        check_nothing_came_first()
        super().patch()
        check_patched()

    # Running -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        self._stop = Event()
        wake = get_hub().loop.io(self.PIPE[0], 1)
        wake.start(self._woken)
        servers = [self._serve(listener) for listener in self.sockets]
        # A heartbeat several times within the deadman's term: one that comes late must not look like none.
        heartbeat_s = min(self.heartbeat_s, self.deadman_s / 4)
        while self.alive:
            if self.ppid != os.getppid():
                self.log.info("Worker %s: the master is gone", self.pid)
                break
            self.notify()
            self._stop.wait(heartbeat_s)
        self._drain(servers, heartbeat_s)
        wake.stop()
        wake.close()
        # From here to the end of the process: threads that are still at work, exit handlers.
        self._arm_deadman(self.deadman_s)

    def notify(self) -> None:
        """The heartbeat: tells gunicorn's master and the deadman that the hub turns."""
        self.tmp.notify()
        self._arm_deadman(self.deadman_s)

    def _arm_deadman(self, timeout_s: float) -> None:
        # Each call replaces the one before, with a new thread. Python's own shutdown disarms it.
        # The thread must be born with every signal blocked: until it has run far enough to do that itself, the
        # kernel may hand it our TERM or QUIT. Before 3.13 such a signal is noted but the main thread isn't told
        # until the GIL changes hands, which a stage that computes alone puts off for good.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS)
        try:
            faulthandler.dump_traceback_later(timeout_s, exit=True)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _serve(self, listener: Any) -> Server:
        address = listener.getsockname()
        environ: dict[str, Any] = {**base_environ(self.cfg), "wsgi.multithread": True, "SERVER_SOFTWARE": VERSION}
        if isinstance(address, tuple):
            environ["SERVER_NAME"] = address[0]  # pywsgi would ask DNS
        server = Server(
            listener,
            self.wsgi,
            limit=self.cfg.worker_connections,
            keepalive_s=self.cfg.keepalive,
            environ=environ,
            log=self.log,
            access_log=bool(self.cfg.accesslog),
        )
        server.start()
        return server

    # Stopping ----------------------------------------------------------------------------------------------

    def _drain(self, servers: list[Server], heartbeat_s: float) -> None:
        until = time.monotonic() + self.drain_timeout_s
        # The application is told first: whoever asks in between must not read that we are ready.
        self._tell_application("drain")
        for server in servers:
            server.drain()
        for server in servers:
            while server.pool and (left_s := until - time.monotonic()) > 0:
                self.notify()
                server.pool.join(timeout=min(left_s, heartbeat_s))
        late = sum(len(server.pool) for server in servers)
        if late:
            self.log.warning(
                "Worker %s: cutting off %d connection(s) still busy after %g s", self.pid, late, self.drain_timeout_s
            )
            for server in servers:
                server.pool.kill(timeout=1.0)
        self._tell_application("retire")

    def _tell_application(self, word: str) -> None:
        """Call the application's `drain()` or `retire()`, if it has one: no argument, no result, must not wait."""
        do = getattr(self.wsgi, word, None)
        if do is None:
            return
        try:
            do()
        except Exception:
            self.log.exception("Worker %s: the application's %s() failed", self.pid, word)

    # Signals -----------------------------------------------------------------------------------------------

    def init_signals(self) -> None:
        super().init_signals()
        # Python's C handler writes a byte for every signal, those of a slice timer too. We read them (`_woken`),
        # but while the hub is busy the pipe may fill, and that is no news.
        signal.set_wakeup_fd(self.PIPE[1], warn_on_full_buffer=False)

    def _woken(self) -> None:
        """A signal came (runs in the hub: must not wait)."""
        with suppress(BlockingIOError):
            while os.read(self.PIPE[0], 4096):
                pass
        if not self.alive:
            self._stop.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """TERM. May run in any greenlet, the hub included, so it only leaves a note and wakes the hub."""
        self.alive = False
        with suppress(BlockingIOError):  # full, so the hub will read it
            os.write(self.PIPE[1], b"\0")  # after `alive`: Python's own byte may have been read before

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """INT, QUIT. The base class leaves this to a greenlet, which never runs while a stage computes."""
        try:
            self.cfg.worker_int(self)
        finally:
            os._exit(0)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """ABRT: the master takes us for stuck. SystemExit, the base class's way, would end one request only."""
        try:
            faulthandler.dump_traceback()
            self.cfg.worker_abort(self)
        finally:
            os._exit(1)


def check_nothing_came_first() -> None:
    """Raise RuntimeError when code was imported that keeps what monkey patching replaces."""
    if monkey.is_module_patched("socket"):
        return
    early = sorted(name for name in sys.modules if _must_come_after(name))
    if early:
        raise RuntimeError(
            f"{', '.join(early[:5])} imported before the worker could patch the standard library. "
            "Keep preload_app = False, and import nothing but app.settings in gunicorn.conf.py and its hooks."
        )


def _must_come_after(name: str) -> bool:
    top = name.partition(".")[0]
    if top == "app" and name != "app":
        return not any(name == fine or name.startswith(fine + ".") for fine in _UNPATCHED_IS_FINE)
    return name in ("requests", "urllib3")


def check_patched() -> None:
    """Raise RuntimeError unless the standard library gives way to the hub."""
    missing = [name for name in _PATCHED if not monkey.is_module_patched(name)]
    if missing:
        raise RuntimeError(f"not monkey-patched: {', '.join(missing)}; the worker would stop the hub at every wait")
