"""Names: from a host to its addresses, by the system's resolver, without keeping anybody else waiting.

The law: one look-up for a name at a time, whoever asks; its result is kept whoever is still there to see it.
Look-ups have threads of their own: the system's resolver blocks a thread for as long as a name server is silent,
and whatever shared that thread would be silent too. When all threads are blocked, names that are not in the cache
wait. A look-up that has no thread yet is forgotten once nobody waits for it, so there are never more of them than
waiting greenlets.
"""

from __future__ import annotations

import re
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import gevent
import gevent.threadpool
import idna
import msgspec
from gevent import monkey
from gevent.event import AsyncResult

from app.errors import FetchError, InvalidRequest
from app.files.reasons import LACKS, lack_of_descriptors, reason_of
from app.hub.undisturbed import undisturbed
from app.model.outcome import ErrorKind
from app.policy.name_cache import NameCache, Resolution

# The patched one would wait on a hub of the thread's own, and come back to the hub's shared pool.
_getaddrinfo = monkey.get_original("socket", "getaddrinfo")

# What the resolver says when the question was answered: no such name, or no address under it. All else (no
# server answered, a server failed, no memory, no descriptor) says nothing about the name.
_LASTING_CODES = frozenset(
    getattr(socket, code) for code in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, code)
)

# Each look-up has one descriptor open at a time.
_THREADS = 8

# A NUL would end the name for the C library, and its rest be unseen. Some would decode a percent sign, some not;
# before an IPv6 address's zone it is something else.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f]|^[^:]*%")

# RFC 1035 section 2.3.4, in text and without the root's dot.
_MAX_NAME_CHARACTERS = 253
_MAX_LABEL_CHARACTERS = 63


def system_lookup(name: str) -> Sequence[str]:
    """All addresses of an ASCII name, as the system finds and orders them (nsswitch.conf, hosts file, search domains,
    name servers; RFC 6724). Blocks its thread. Raises OSError; socket.gaierror is what the resolver itself says, unless
    descriptors are lacking.

    No AI_ADDRCONFIG, like requests: whoever decides on addresses is to see every answer.
    """
    addresses = []
    try:
        # As bytes: for text Python would go through a codec of its own, which knows another standard.
        found = _getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        # What glibc can't open (resolv.conf, the hosts file) it takes for empty, and says that there is no such name.
        lack = lack_of_descriptors(_THREADS)
        if lack is not None:
            raise lack from error
        raise
    for family, _, _, _, socket_address in found:
        if family == socket.AF_INET:
            addresses.append(socket_address[0])
        elif family == socket.AF_INET6:
            scope = socket_address[3]
            addresses.append(f"{socket_address[0]}%{scope}" if scope else socket_address[0])
    return addresses


def name_of(host: str) -> str:
    """The one ASCII form of a host's name: lower case, labels beyond ASCII as requests (by urllib3) writes them, which
    is IDNA 2008 without UTS 46: full-width letters and other dots are refused.

    A trailing dot stays: it tells the system not to try search domains. An IPv6 address, perhaps with a zone, is
    returned as it is. Raises InvalidRequest.
    """
    if _FORBIDDEN.search(host):
        raise InvalidRequest("the host has a space or a control character in it, or is percent-encoded")
    if ":" in host and host.isascii():
        return host
    if host.startswith("*"):
        raise InvalidRequest("the host begins with a wildcard")
    name = host.lower() if host.isascii() else ".".join(map(_ascii_label, host.split(".")))
    bare = name.removesuffix(".")
    if len(bare) > _MAX_NAME_CHARACTERS:
        raise InvalidRequest(f"the host is longer than {_MAX_NAME_CHARACTERS} characters")
    if not all(1 <= len(label) <= _MAX_LABEL_CHARACTERS for label in bare.split(".")):
        raise InvalidRequest(f"the host has a part that is empty or longer than {_MAX_LABEL_CHARACTERS} characters")
    return name


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label.lower()
    try:
        return idna.encode(label.lower(), strict=True).decode("ascii")
    except UnicodeError:
        raise InvalidRequest(f"the host's part {label[:_MAX_LABEL_CHARACTERS]!a} is no part of a domain name") from None


def literal_address(name: str) -> str | None:
    """The canonical text of an IP address: four decimal numbers, or any form of IPv6; None for all else.

    All else includes `127.1`, `0x7f.0.0.1` and `2130706433`: what they mean is the system's to say.
    """
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, name))
    except (OSError, ValueError):  # ValueError: a NUL, or half of a surrogate pair
        return None


class NameStatistics(msgspec.Struct, frozen=True):
    """A snapshot. Literal addresses are counted nowhere.

    cached         names kept
    pending        look-ups under way, and those that wait for a thread
    running        those under way; as many as there are threads means that other names have to wait
    waiting        greenlets that wait for a look-up
    hits           answered with addresses that were kept
    negative_hits  answered with a kept "no such name"
    misses         had to wait for a look-up, their own or one that others had asked for
    look_ups       ended
    failures       those of them that found no address, for whatever reason
    slowest_s      the longest of them, 0.0 before the first
    """

    cached: int
    pending: int
    running: int
    waiting: int
    hits: int
    negative_hits: int
    misses: int
    look_ups: int
    failures: int
    slowest_s: float


class _LookUp:
    """One name that is asked for. Mutable: `waiters` counts the greenlets in `Names.resolve`."""

    __slots__ = ("done", "name", "waiters")

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiters = 0
        # Gets a value, never an exception: one exception raised in many greenlets would share its traceback.
        self.done: AsyncResult[Resolution | BaseException] = AsyncResult()


class _Ended(msgspec.Struct, frozen=True):
    """What a thread hands back: a resolution or what `look_up` raised against its word, and when."""

    result: Resolution | BaseException
    began_s: float
    ended_s: float


class Names:
    """The names of one hub: that of the thread which makes it. Threads start with the first look-up and stay, like
    all of this, until `close`.

    threads         look-ups at a time
    ttl_s           how long addresses are kept; fixed, because getaddrinfo tells no time to live
    negative_ttl_s  how long "no such name" is kept; temporary failures are not
    max_entries     names kept
    look_up         ASCII name -> addresses in the order in which to try them; runs in a thread, must not use gevent.
                    Raises OSError for a failure, socket.gaierror if the resolver said so
    clock_s         monotonic seconds; called in the threads too
    """

    def __init__(
        self,
        *,
        threads: int = _THREADS,
        ttl_s: float = 60.0,
        negative_ttl_s: float = 5.0,
        max_entries: int = 10_000,
        look_up: Callable[[str], Sequence[str]] = system_lookup,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        if threads <= 0:
            raise ValueError("threads must be above 0")
        self._threads = threads
        self._look_up = look_up
        self._clock_s = clock_s
        self._hub = gevent.get_hub()
        # Mutable state, changed in this hub's thread only, and never across a switch.
        self._cache = NameCache(ttl_s=ttl_s, negative_ttl_s=negative_ttl_s, max_entries=max_entries)
        self._queued: OrderedDict[str, _LookUp] = OrderedDict()
        self._running: dict[str, _LookUp] = {}
        self._pool: gevent.threadpool.ThreadPool | None = None
        self._closed = False
        self._waiting = self._hits = self._negative_hits = self._misses = self._look_ups = self._failures = 0
        self._slowest_s = 0.0
        # A fork copies the greenlets that wait, but not the threads that they wait for.
        self._fork_watcher = self._hub.loop.fork(ref=False)
        self._fork_watcher.start(self._on_fork)

    def resolve(self, host: str) -> tuple[str, ...]:
        """The addresses of a host, at least one, in the order in which to try them: canonical text, `%scope` behind an
        IPv6 one that needs it. Yields to the hub, unless the host is an address or its name is in the cache.

        host  a name, Unicode or ASCII, or an address; IPv6 without brackets

        Has no time limit: put a gevent.Timeout around it. Who leaves that way, or is killed, disturbs nobody else.
        Raises InvalidRequest for what can't be a host, FetchError NAME_NOT_RESOLVED for one without addresses.
        """
        found = self.known(host)
        if found is not None:
            return found
        name = name_of(host)
        known = self._cache.get(name, self._clock_s())
        if known is None:
            self._misses += 1
            known = self._wait_for(self._asked(name))
        elif known.addresses:
            self._hits += 1
        else:
            self._negative_hits += 1
        if not known.addresses:
            said = f"{name[:80]}: {known.reason}"
            raise FetchError(ErrorKind.NAME_NOT_RESOLVED, said, is_local=known.is_local)
        return known.addresses

    def known(self, host: str) -> tuple[str, ...] | None:
        """The addresses of a host that is an address or whose name is in the cache; None if it takes a look-up, or
        there are none. Never yields, never raises.
        """
        # Most hosts are written as their name is kept, and only names are kept: look before taking pains.
        kept = self._cache.get(host, self._clock_s())
        if kept is not None:
            if not kept.addresses:
                return None
            self._hits += 1
            return kept.addresses
        address = literal_address(host)
        return None if address is None else (address,)

    def statistics(self) -> NameStatistics:
        """Counts at this moment; pending, running and waiting are 0 when nobody is being looked up."""
        return NameStatistics(
            cached=len(self._cache),
            pending=len(self._queued) + len(self._running),
            running=len(self._running),
            waiting=self._waiting,
            hits=self._hits,
            negative_hits=self._negative_hits,
            misses=self._misses,
            look_ups=self._look_ups,
            failures=self._failures,
            slowest_s=self._slowest_s,
        )

    def close(self) -> None:
        """Let the threads end, each after the look-up it is at. Who still waits gets a FetchError. Does not wait.

        `resolve` raises RuntimeError afterwards for names. Safe to call again.
        """
        if self._closed:
            return
        self._closed = True
        self._fork_watcher.stop()
        self._fork_watcher.close()
        for asked in (*self._running.values(), *self._queued.values()):
            asked.done.set(Resolution(reason="closed while it was looked up", lasting=False))
        self._running.clear()
        self._queued.clear()
        if self._pool is not None:
            _dismiss(self._pool)
            self._pool = None

    def abandon(self) -> None:
        """`close` in a forked child: it has none of the threads, and a lock of theirs may be held for ever."""
        if self._pool is not None:
            self._pool.fork_watcher.close()
            self._pool = None
        self.close()

    def _asked(self, name: str) -> _LookUp:
        """The look-up of `name`: the one there is, else a new one."""
        if self._closed:
            raise RuntimeError("these Names are closed")
        if gevent.get_hub() is not self._hub:
            raise RuntimeError("these Names belong to another thread's hub; each hub needs its own")
        asked = self._running.get(name) or self._queued.get(name)
        if asked is None:
            asked = self._queued[name] = _LookUp(name)
            self._start_queued()
        return asked

    def _wait_for(self, asked: _LookUp) -> Resolution:
        asked.waiters += 1
        self._waiting += 1
        try:
            result = asked.done.get()
        finally:
            self._waiting -= 1
            asked.waiters -= 1
            if not asked.waiters and self._queued.get(asked.name) is asked:
                del self._queued[asked.name]
        if isinstance(result, Resolution):
            return result
        raise RuntimeError(f"the look-up of {asked.name[:80]} broke: {result!r}") from result

    def _start_queued(self) -> None:
        """Hand look-ups to the threads that are free. Here and not in the pool's own queue, where `spawn` would block
        the greenlet that asks, nothing could be taken back, and no order be kept. Runs in the hub too: never blocks.
        """
        while self._queued and len(self._running) < self._threads:
            name, asked = self._queued.popitem(last=False)
            self._running[name] = asked
            self._start(asked)

    def _start(self, asked: _LookUp) -> None:
        try:
            if self._pool is None:
                self._pool = _thread_pool(self._threads)
            task = self._pool.spawn(_timed, self._look_up, asked.name, self._clock_s)
        except (RuntimeError, MemoryError) as error:
            now_s = self._clock_s()
            failed = Resolution(reason=f"no thread to look it up: {error}", lasting=False, is_local=True)
            self._end(asked, _Ended(failed, now_s, now_s))
            return
        task.rawlink(lambda task: self._landed(asked, task))

    def _landed(self, asked: _LookUp, task: AsyncResult[_Ended]) -> None:
        """A thread is done; in the hub."""
        if self._running.get(asked.name) is not asked:
            return  # closed meanwhile
        ended = task.value
        if ended is None:  # the clock failed, or a profiler that was installed for threads
            now_s = self._clock_s()
            ended = _Ended(task.exception or RuntimeError("no result"), now_s, now_s)
        self._end(asked, ended)
        self._start_queued()

    def _end(self, asked: _LookUp, ended: _Ended) -> None:
        """Keep the result and wake the waiters."""
        del self._running[asked.name]
        self._look_ups += 1
        self._slowest_s = max(self._slowest_s, ended.ended_s - ended.began_s)
        if isinstance(ended.result, Resolution):
            self._failures += not ended.result.addresses
            self._cache.put(asked.name, ended.result, ended.ended_s)
        else:
            self._failures += 1
        asked.done.set(ended.result)

    def _on_fork(self) -> None:
        """In the child: new threads, which begin anew what the parent's were at."""
        if self._pool is not None:
            self._pool = None
            for asked in list(self._running.values()):
                self._start(asked)


def _thread_pool(threads: int) -> gevent.threadpool.ThreadPool:
    """A pool whose threads are all there and take no signals."""
    pool = gevent.threadpool.ThreadPool(threads)
    try:
        with undisturbed():
            pool.size = threads
    except BaseException:
        _dismiss(pool)
        raise
    return pool


def _dismiss(pool: gevent.threadpool.ThreadPool) -> None:
    """Let each thread end after the task it is at. Not `pool.kill`, which waits for them, nor `pool.maxsize = 0`, which
    needs a hub that turns until they have ended.
    """
    for _ in range(pool.size):
        pool.task_queue.put(None)  # type: ignore[arg-type]  # the end of one thread
    pool.fork_watcher.close()


def _timed(look_up: Callable[[str], Sequence[str]], name: str, clock_s: Callable[[], float]) -> _Ended:
    """In a thread. Never raises: the pool would print it, and hand it to nobody who has left."""
    began_s = clock_s()
    result: Resolution | BaseException
    try:
        addresses = tuple(dict.fromkeys(look_up(name)))
        result = Resolution(addresses) if addresses else Resolution(reason="the name has no address")
    except OSError as error:
        lasting = isinstance(error, socket.gaierror) and error.errno in _LASTING_CODES
        is_local = error.errno in LACKS or (isinstance(error, socket.gaierror) and error.errno == socket.EAI_MEMORY)
        result = Resolution(reason=reason_of(error), lasting=lasting, is_local=is_local)
    except BaseException as error:
        result = error
    return _Ended(result, began_s, clock_s())
