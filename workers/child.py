"""Child: the parent's side of one batch child: its process, its core, its socket, the shards it has in hand."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from app.policy.cpu_list import format_cpus
from app.policy.sharding import Shard
from workers.affinity import WIDE_CPUS
from workers.black_box import STACK_SIGNAL, BlackBox, Note
from workers.messages import ToChild, ToParent, parent_inbox, to_frame
from workers.tally import WorkerState
from workers.watch import Watch
from workers.words import Words

_READ_BYTES = 1 << 18


class Child:
    """A running child process. Never waits: reads what is there, sends what the socket takes.

    words  what it says to people
    core  the CPU that it pins itself to, None for no pin
    wide  CPUs that code which must not be pinned may use
    """

    def __init__(self, core: int | None, wide: frozenset[int]) -> None:
        self.core = core
        self.shards: dict[int, Shard] = {}  # handed out and not finished
        self.begun: set[int] = set()  # numbers of those that it has taken up
        self.is_ready = False
        self.is_dismissed = False
        self.is_let_go = False  # before it was ready, since all was done
        self.is_silent = False  # it has closed its end
        self.state: WorkerState | None = None  # as it last told
        self.watch = Watch(time.monotonic())
        self._inbox = parent_inbox()
        self._outgoing = bytearray()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket = ours
        self._black_box = BlackBox()
        self.words = Words()
        handed_on = [theirs.fileno(), self._black_box.descriptor]
        with theirs, self.words.given() as writer, _unharmed_by(STACK_SIGNAL):
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "workers.batch_child"),
                    *map(str, handed_on),
                    "-" if core is None else str(core),
                    str(os.getpid()),
                ],
                pass_fds=handed_on,
                stdin=subprocess.DEVNULL,
                # What a stage prints must not get between the records of a parent that writes to stdout.
                stdout=writer,
                stderr=writer,
                env=os.environ | {WIDE_CPUS: format_cpus(wide)},
                process_group=0,  # ctrl-C is the parent's to answer
            )
        # Readable when the process itself ends. The socket's end would not do: what a stage forks holds it open.
        self.pidfd = os.pidfd_open(self.process.pid)

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` is to be called when the socket takes more."""
        return bool(self._outgoing)

    def send(self, message: ToChild) -> None:
        """Queue a message and send what can be sent now."""
        self._outgoing += to_frame(message)
        self.flush()

    def flush(self) -> None:
        """Send what can be sent now. A child that is gone is found out by `receive`."""
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()

    def receive(self) -> tuple[list[ToParent], bool]:
        """All messages that are there, and whether they are the last: the child has closed its end."""
        messages: list[ToParent] = []
        while not self.is_silent:
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self.is_silent = not data
            self.watch.heard(time.monotonic())
            messages += self._inbox.feed(data)
        return messages, self.is_silent

    def ask_where(self) -> None:
        """Have it write down where it is; a moment later `running` and `innermost_frame` tell."""
        self._black_box.forget_stacks()
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, STACK_SIGNAL)

    def running(self) -> list[Note]:
        """The stages that have begun in it."""
        return self._black_box.read()

    def innermost_frame(self) -> str:
        """See BlackBox."""
        return self._black_box.innermost_frame()

    def kill(self) -> None:
        """End it at once, and whatever it has started in its process group."""
        self._signal_group(signal.SIGKILL)

    def suspend(self) -> None:
        """Stop it, and whatever it has started in its process group, until `resume`."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        self._signal_group(signal.SIGCONT)

    def reap(self) -> tuple[int, list[Note], list[str]]:
        """End what is left of its process group, and wait for its own end, which must have come or been asked for.

        Returns the exit status, negative for a signal, the stages that were running, and its last words.
        """
        if self._has_ended():
            self.kill()
        status = self.process.wait()
        self._socket.close()
        os.close(self.pidfd)
        running = self._black_box.read()
        self._black_box.close()
        return status, running, self.words.last()

    def _signal_group(self, number: int) -> None:
        # Its group keeps its number until we reap it, so this hits nobody else, also when it has ended itself.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


@contextmanager
def _unharmed_by(number: int) -> Iterator[None]:
    """A process that is started in the `with` ignores that signal until it has a handler of its own."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)
