"""The contestants: which programs there are, whose Python runs them, and on which cores."""

from __future__ import annotations

from benchmarks.common import contestant as common
from benchmarks.common.contestant import Home

OURS = "percore"


class Contestant(common.Contestant, frozen=True):
    """As in benchmarks/common/contestant.py, its program being a module of benchmarks.cpu.clients.

    pinned   confined to the client's core; otherwise it may use all that we may
    options  after the program's name
    cores    that it can keep busy
    """

    pinned: bool = True
    options: tuple[str, ...] = ()
    cores: int = 1


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant(OURS, Home.PROJECT, "percore", "ours: Session.fetch, the work in slices by app.cpu"),
        Contestant("gevent-inline", Home.PROJECT, "gevent_inline", "Session.fetch, the work right in the greenlet"),
        Contestant("threads", Home.PROJECT, "on_threads", "requests, a thread per fetch, on all cores", pinned=False),
        Contestant("threads-pinned", Home.PROJECT, "on_threads", "requests, a thread per fetch, on one core"),
        Contestant("asyncio-inline", Home.PEERS, "asyncio_inline", "aiohttp on uvloop, the work right in the task"),
        Contestant("asyncio-threads", Home.PEERS, "asyncio_threads", "aiohttp on uvloop, the work in a thread pool"),
        Contestant("asyncio-processes", Home.PEERS, "asyncio_processes", "aiohttp on uvloop, the work in 2 processes"),
        Contestant("in-turn", Home.PROJECT, "in_turn", "limit: the work alone, one after another"),
        Contestant("alternating", Home.PROJECT, "alternating", "ours and one after another, by turns in one process"),
        Contestant("pool-pinned", Home.PROJECT, "native", "a thread pool of a pinned process", options=("pinned",)),
        Contestant(
            "percore-threads", Home.PROJECT, "native", "ours: app.cpu.threads, pinned too", options=("wide",), cores=2
        ),
        Contestant("batch-1", Home.PROJECT, "batch", "ours: fetch-batch, one worker", False, ("1",)),
        Contestant("batch-2", Home.PROJECT, "batch", "ours: fetch-batch, two workers", False, ("2",), cores=2),
    )
}
