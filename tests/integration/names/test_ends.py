"""The end of names: closed, with the process, with a hub, in a fork."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from app.fetching.names import Names
from tests.support.processes import HANG_GUARD_S, running_process, wait_until
from tests.support.resolver import Resolver, asking, failure_of


def test_closing_ends_the_threads_and_answers_who_waits(make_names: Callable[[int], Names], resolver: Resolver) -> None:
    names = make_names(1)
    assert names.resolve("known.example")
    gate = resolver.gate("x.example")
    waiting = asking(names, "x.example", "y.example")
    names.close()
    names.close()
    for greenlet in waiting:
        assert "closed" in str(failure_of(lambda one=greenlet: one.get(timeout=HANG_GUARD_S)))
    statistics = names.statistics()
    assert (statistics.pending, statistics.running, statistics.waiting) == (0, 0, 0)
    with pytest.raises(RuntimeError, match="closed"):
        names.resolve("z.example")
    gate.set()
    wait_until(
        lambda: not any(Path(f"/proc/self/task/{thread}").exists() for thread in resolver.thread_ids),
        "the threads were gone",
    )
    gevent.idle()
    assert resolver.asked == ["known.example", "x.example"]


_PATCHED = """
from gevent import monkey
monkey.patch_all()
import os, sys, threading, gevent
from app.fetching.names import Names
reader, writer = os.pipe()
"""


# The pipe's writing end stays open and silent: nothing would ever end the read. The thread has got there, or is one
# step before it, when the other pipe has its byte.
_HUNG = f"""{_PATCHED}
began, begin = os.pipe()

def look_up(name):
    os.write(begin, b".")
    os.read(reader, 1)

names = Names(look_up=look_up)
greenlet = gevent.spawn(names.resolve, "a.example")
gevent.idle()
os.read(began, 1)
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("", 0),
        ("greenlet.kill(); names.close()", 0),
        ("greenlet.kill(); sys.exit(3)", 3),
        ("raise SystemError", 1),
    ],
)
def test_a_process_does_not_wait_for_a_hung_look_up(end: str, code: int) -> None:
    with running_process([sys.executable, "-c", f"{_HUNG}\n{end}\n"]) as running:
        assert running.wait() == code, running.stderr
        assert ("SystemError" in running.stderr) if code == 1 else (running.stderr == "")


def test_a_thread_survives_the_hub_that_it_looked_up_for() -> None:
    """gevent's pool complains on stderr then, and that must be all."""
    script = f"""{_HUNG}
names.close()
gevent.get_hub().destroy(destroy_loop=True)
os.write(writer, b".")
while len(os.listdir("/proc/self/task")) > 1:
    os.sched_yield()
print("alone")
"""
    with running_process([sys.executable, "-c", script]) as running:
        assert running.wait() == 0, running.stderr
        assert running.stdout == "alone\n"


def test_a_forked_child_looks_up_anew_what_its_parent_was_at() -> None:
    script = f"""{_PATCHED}
def look_up(name):
    return [os.read(reader, 100).decode()]
names = Names(threads=1, look_up=look_up)
greenlets = [gevent.spawn(names.resolve, host) for host in ("a.example", "b.example", "a.example")]
gevent.idle()
pid = os.fork()
if pid == 0:
    os.close(writer)
    reader, writer = os.pipe()
os.write(writer, b"child" if pid == 0 else b"parent")
first = [greenlets[0].get(timeout=30), greenlets[2].get(timeout=30)]
os.write(writer, b"queued")
told = [*first, greenlets[1].get(timeout=30), names.statistics().pending]
os.write(1, f"{{told}}\\n".encode())  # in one piece: the other process writes there too
if pid:
    sys.exit(os.waitpid(pid, 0)[1])
"""
    with running_process([sys.executable, "-c", script]) as running:
        assert running.wait() == 0, running.stderr
        assert sorted(running.stdout.splitlines()) == [
            "[('child',), ('child',), ('queued',), 0]",
            "[('parent',), ('parent',), ('queued',), 0]",
        ]
