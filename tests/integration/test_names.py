"""Names: look-ups in real threads, and the system's resolver with a name server that does as it is told.

Look-ups that are handed in wait at gates. A gate opens in the test, never by time; its bound is a hang guard.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gevent
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import FetchError, InvalidRequest
from app.fetching.names import Names, literal_address, name_of
from app.model.outcome import ErrorKind
from tests.support.dns import NXDOMAIN, SERVFAIL, SILENT, in_own_network, questions
from tests.support.processes import HANG_GUARD_S, running_process, wait_until


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Resolver:
    """A look-up whose names each have an answer, or an error to raise, and perhaps a gate to wait at."""

    def __init__(self) -> None:
        self.answers: dict[str, Sequence[str] | BaseException] = {}
        self.gates: dict[str, threading.Event] = {}
        self.asked: list[str] = []
        self.thread_ids: set[int] = set()

    def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        self.thread_ids.add(threading.get_native_id())
        if name in self.gates:
            assert self.gates[name].wait(HANG_GUARD_S)
        answer = self.answers.get(name, ["192.0.2.1"])
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def gate(self, name: str) -> threading.Event:
        """From now on look-ups of `name` wait until this is set."""
        return self.gates.setdefault(name, threading.Event())


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    made = Resolver()
    yield made
    for gate in made.gates.values():
        gate.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_names(resolver: Resolver, clock: Clock) -> Iterator[Callable[[int], Names]]:
    made: list[Names] = []

    def make(threads: int) -> Names:
        made.append(Names(threads=threads, look_up=resolver, clock_s=clock))
        return made[-1]

    yield make
    for names in made:
        names.close()


@pytest.fixture
def names(make_names: Callable[[int], Names]) -> Names:
    return make_names(2)


def asking(names: Names, *hosts: str) -> list[gevent.Greenlet]:
    """Greenlets that ask for these hosts, in this order, and have got as far as they can."""
    greenlets = [gevent.spawn(names.resolve, host) for host in hosts]
    gevent.idle()
    return greenlets


def results(greenlets: Sequence[gevent.Greenlet]) -> list[object]:
    return [greenlet.get(timeout=HANG_GUARD_S) for greenlet in greenlets]


def failure_of(call: Callable[[], object]) -> FetchError:
    with pytest.raises(FetchError) as raised:
        call()
    assert raised.value.kind is ErrorKind.NAME_NOT_RESOLVED
    return raised.value


def until_idle(names: Names) -> None:
    """Lets the hub turn until no look-up is pending."""
    with gevent.Timeout(HANG_GUARD_S):
        while names.statistics().pending:
            gevent.sleep(0.001)


# One look-up for everybody ---------------------------------------------------------------------------------


def test_many_that_ask_for_one_name_at_once_cause_one_look_up(names: Names, resolver: Resolver) -> None:
    resolver.answers["a.example"] = ["2001:db8::1", "192.0.2.1", "2001:db8::1"]
    gate = resolver.gate("a.example")
    greenlets = asking(names, *["a.example"] * 50, *["A.Example"] * 50)
    during = names.statistics()
    assert (during.pending, during.running, during.waiting, during.misses) == (1, 1, 100, 100)
    gate.set()
    assert set(results(greenlets)) == {("2001:db8::1", "192.0.2.1")}
    assert resolver.asked == ["a.example"]
    after = names.statistics()
    assert (after.pending, after.running, after.waiting, after.look_ups, after.failures) == (0, 0, 0, 1, 0)


def test_who_leaves_disturbs_neither_the_others_nor_the_look_up(names: Names, resolver: Resolver) -> None:
    gate = resolver.gate("a.example")
    killed, stays = asking(names, "a.example", "a.example")

    def impatient() -> str:
        with gevent.Timeout(0.001, False):
            names.resolve("a.example")
        return "left"

    assert gevent.spawn(impatient).get(timeout=HANG_GUARD_S) == "left"
    killed.kill()
    assert names.statistics().waiting == 1
    gate.set()
    assert results([stays]) == [("192.0.2.1",)]
    assert resolver.asked == ["a.example"]


def test_a_look_up_is_kept_when_everybody_has_left(names: Names, resolver: Resolver) -> None:
    gate = resolver.gate("a.example")
    gevent.killall(asking(names, "a.example", "a.example"))
    assert (names.statistics().waiting, names.statistics().running) == (0, 1)
    gate.set()
    until_idle(names)
    assert names.resolve("a.example") == ("192.0.2.1",)
    assert resolver.asked == ["a.example"]
    assert names.statistics().hits == 1


def test_a_failure_reaches_everybody_as_an_exception_of_their_own(names: Names, resolver: Resolver) -> None:
    resolver.answers["a.example"] = socket.gaierror(socket.EAI_AGAIN, "Temporary failure")
    gate = resolver.gate("a.example")
    greenlets = asking(names, *["a.example"] * 3)
    gate.set()
    errors = [failure_of(lambda one=one: one.get(timeout=HANG_GUARD_S)) for one in greenlets]
    assert len({id(error) for error in errors}) == 3
    assert {str(error) for error in errors} == {"a.example: Temporary failure"}


# Threads ---------------------------------------------------------------------------------------------------


def test_names_wait_in_turn_when_all_threads_are_blocked(
    make_names: Callable[[int], Names], resolver: Resolver
) -> None:
    names = make_names(2)
    assert names.resolve("known.example")
    gates = [resolver.gate("x.example"), resolver.gate("y.example")]
    blocked = asking(names, "x.example", "y.example")
    queued = asking(names, "1.example", "2.example", "3.example", "2.example")
    during = names.statistics()
    assert (during.pending, during.running, during.waiting) == (5, 2, 6)
    assert names.resolve("known.example") == ("192.0.2.1",)
    assert names.resolve("192.0.2.7") == ("192.0.2.7",)
    gates[0].set()
    results(queued)
    assert resolver.asked[3:] == ["1.example", "2.example", "3.example"]
    gates[1].set()
    results(blocked)
    assert len(resolver.thread_ids) <= 2


def test_a_queued_look_up_that_nobody_waits_for_is_forgotten(
    make_names: Callable[[int], Names], resolver: Resolver
) -> None:
    names = make_names(1)
    gate = resolver.gate("x.example")
    blocked = asking(names, "x.example")
    leaving = asking(names, "1.example", "2.example", "2.example")
    gevent.killall(leaving[:2])
    assert names.statistics().pending == 2
    gate.set()
    results([*blocked, leaving[2]])
    until_idle(names)
    assert resolver.asked == ["x.example", "2.example"]


def test_neither_keeps_the_hubs_own_threads_waiting_nor_waits_for_them(
    make_names: Callable[[int], Names], resolver: Resolver
) -> None:
    names = make_names(1)
    gate = resolver.gate("x.example")
    asking(names, "x.example")
    pool = gevent.get_hub().threadpool
    with gevent.Timeout(HANG_GUARD_S):
        assert pool.apply(int, ("7",)) == 7
    gate.set()
    until_idle(names)
    held = threading.Event()
    tasks = [pool.spawn(held.wait, HANG_GUARD_S) for _ in range(pool.maxsize)]
    try:
        with gevent.Timeout(HANG_GUARD_S):
            assert names.resolve("y.example") == ("192.0.2.1",)
    finally:
        held.set()
        gevent.joinall(tasks)


def test_its_threads_take_no_signals(clock: Clock) -> None:
    masks: list[set[int]] = []

    def look_up(name: str) -> list[str]:
        masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        return ["192.0.2.1"]

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    names = Names(threads=1, look_up=look_up, clock_s=clock)
    names.resolve("a.example")
    names.close()
    assert masks[0] >= {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGALRM, signal.SIGUSR1}
    assert not masks[0] & {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_another_threads_hub_is_turned_away(names: Names) -> None:
    raised: list[BaseException] = []

    def elsewhere() -> None:
        try:
            names.resolve("a.example")
        except RuntimeError as error:
            raised.append(error)
        finally:
            gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(HANG_GUARD_S)
    assert "another thread's hub" in str(raised[0])
    assert names.resolve("a.example") == ("192.0.2.1",)


# What is kept ----------------------------------------------------------------------------------------------


def test_addresses_are_kept_for_their_time(names: Names, resolver: Resolver, clock: Clock) -> None:
    names.resolve("a.example")
    resolver.answers["a.example"] = ["192.0.2.2"]
    clock.now_s += 59.9
    assert names.resolve("a.example") == ("192.0.2.1",)
    clock.now_s += 0.1
    assert names.resolve("a.example") == ("192.0.2.2",)
    assert resolver.asked == ["a.example"] * 2
    statistics = names.statistics()
    assert (statistics.hits, statistics.misses, statistics.cached) == (1, 2, 1)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), True),
        (socket.gaierror(socket.EAI_NODATA, "No address associated with hostname"), True),
        (socket.gaierror(socket.EAI_ADDRFAMILY, "Address family for hostname not supported"), True),
        ([], True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), False),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"), False),
        (socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure"), False),
        (OSError(24, "Too many open files"), False),
        # An errno that is the same number as a code of the resolver's is not that code.
        (OSError(socket.EAI_NONAME, "some errno"), False),
    ],
)
def test_only_a_definite_no_is_kept(
    names: Names, resolver: Resolver, clock: Clock, answer: Sequence[str] | OSError, kept: bool
) -> None:
    resolver.answers["a.example"] = answer
    reasons = {str(failure_of(lambda: names.resolve("a.example"))) for _ in range(2)}
    assert len(reasons) == 1
    assert len(resolver.asked) == (1 if kept else 2)
    statistics = names.statistics()
    assert (statistics.negative_hits, statistics.cached) == (int(kept), int(kept))
    assert statistics.failures == statistics.look_ups == len(resolver.asked)
    resolver.answers["a.example"] = ["192.0.2.9"]
    clock.now_s += 5.0
    assert names.resolve("a.example") == ("192.0.2.9",)


def test_a_look_up_that_breaks_its_word_is_a_defect_that_leaves_no_trace(names: Names, resolver: Resolver) -> None:
    resolver.answers["a.example"] = KeyError("a defect")
    gate = resolver.gate("a.example")
    greenlets = asking(names, "a.example", "a.example")
    gate.set()
    for greenlet in greenlets:
        with pytest.raises(RuntimeError, match=r"look-up of a\.example broke: KeyError\('a defect'\)") as raised:
            greenlet.get(timeout=HANG_GUARD_S)
        assert isinstance(raised.value.__cause__, KeyError)
    del resolver.answers["a.example"]
    assert names.resolve("a.example") == ("192.0.2.1",)


def test_the_slowest_look_up_is_told(clock: Clock) -> None:
    def look_up(name: str) -> list[str]:
        clock.now_s += float(name.partition(".")[0])
        return ["192.0.2.1"]

    names = Names(look_up=look_up, clock_s=clock)
    assert names.statistics().slowest_s == 0.0
    for host in ("3.example", "12.example", "7.example"):
        names.resolve(host)
    names.close()
    assert names.statistics().slowest_s == 12.0


# The end ---------------------------------------------------------------------------------------------------


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


# What is a name, what an address ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("2001:DB8::A", "2001:db8::a"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
    ],
)
def test_an_address_needs_no_look_up(names: Names, resolver: Resolver, host: str, address: str) -> None:
    assert names.resolve(host) == (address,)
    assert resolver.asked == []
    assert names.statistics().cached == 0


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "256.0.0.1",
        "1.2.3",
        "fe80::1%lo",
    ],
)
def test_what_only_looks_like_an_address_is_for_the_system_to_say(names: Names, resolver: Resolver, host: str) -> None:
    assert literal_address(host) is None
    names.resolve(host)
    assert resolver.asked == [host]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com."),
        ("foo_bar.example", "foo_bar.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("例え.テスト.", "xn--r8jz45g.xn--zckzah."),
        ("ΑΣ.example", "xn--mxa8a.example"),
        ("Foo_Bar.bücher.example", "foo_bar.xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        (".".join(["a" * 49] * 5) + ".abc", ".".join(["a" * 49] * 5) + ".abc"),
    ],
)
def test_a_name_has_one_form_which_is_that_of_requests(names: Names, resolver: Resolver, host: str, name: str) -> None:
    names.resolve(host)
    assert resolver.asked == [name]
    url = requests.Request("GET", f"http://{host}/").prepare().url
    assert url is not None
    assert url.lower() == f"http://{name}/"


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "..", ".example", "a..example", "a.example..", "*.example"),
        *("a" * 64 + ".example", ".".join(["a" * 50] * 5), "ü" * 60 + ".example"),
        *("a b.example", "a\0.example", "127.0.0.1\0.example", "a\n", "\x7f"),
        *(
            "☃.example",
            "a\ud800.example",
            "bücher..example",
            "-ü.example",
            "\u200d",
        ),
        *("例え。テスト", "ｅｘａｍｐｌｅ.com", "１２７.0.0.1", "127。0。0。1", "１::1"),
        *("ex%61mple.com", "a%00.example"),
    ],
)
def test_what_can_be_no_host_is_refused(names: Names, resolver: Resolver, host: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        names.resolve(host)
    assert str(raised.value).isprintable()
    assert resolver.asked == []


@settings(deadline=None)
@given(st.text(st.characters(categories=("L", "M", "N", "Pd"), include_characters=".。"), min_size=1, max_size=40))
def test_beyond_ascii_names_are_those_of_requests(host: str) -> None:
    host = f"{host}ü"
    try:
        url = requests.Request("GET", f"http://{host}/").prepare().url
        assert url is not None
        url.removeprefix("http://").removesuffix("/").encode("idna")  # as urllib3 does before it connects
    except (requests.exceptions.InvalidURL, UnicodeError):
        with pytest.raises(InvalidRequest):
            name_of(host)
    else:
        assert url == f"http://{name_of(host)}/"


# The system's resolver -------------------------------------------------------------------------------------

# Reads a JSON list of steps: ["resolve", host], ["later", seconds]. Writes what came of each.
_REAL = """
from gevent import monkey
monkey.patch_all()
import json, sys, gevent, gevent.socket
from app.errors import FetchError
from app.fetching.names import Names

now_s = 0.0
names = Names(clock_s=lambda: now_s)
told = []
for verb, value in json.loads(sys.argv[1]):
    if verb == "later":
        now_s += value
        continue
    try:
        told.append([value, *names.resolve(value)])
    except FetchError as error:
        told.append([value, str(error.kind), str(error)])
print(json.dumps(told))
"""


def _steps(*steps: str | float) -> str:
    """A number lets that many seconds pass; a text is a host to resolve."""
    return json.dumps([["resolve" if isinstance(step, str) else "later", step] for step in steps])


def _told(command: Sequence[str]) -> list[list[str]]:
    with running_process(command) as running:
        assert running.wait(2 * HANG_GUARD_S) == 0, running.stderr
        told: list[list[str]] = json.loads(running.stdout)
        return told


def test_the_systems_resolver_in_a_patched_process() -> None:
    localhost, *others = _told([sys.executable, "-c", _REAL, _steps("localhost", "127.1", "2130706433", "::1")])
    assert set(localhost[1:]) & {"127.0.0.1", "::1"}
    assert len(set(localhost)) == len(localhost)
    assert others == [["127.1", "127.0.0.1"], ["2130706433", "127.0.0.1"], ["::1", "::1"]]


def test_the_systems_resolver_with_a_name_server_of_ours(tmp_path: Path) -> None:
    zone = {
        "both.example": [["192.0.2.1", "2001:db8::1"]],
        "broken.example": [SERVFAIL, ["192.0.2.3"]],
        "printer.search.example": [["192.0.2.4"]],
        "rebinding.example": [["192.0.2.5"], ["127.0.0.1"]],
        "xn--bcher-kva.example": [["192.0.2.6"]],
        "no-address.example": [[]],
        "new.example": [NXDOMAIN, ["192.0.2.8"]],
    }
    steps = _steps(
        *("both.example", "Both.Example", "in-hosts.example", "printer", "bücher.example"),
        *("broken.example.", "broken.example."),
        *("rebinding.example", 59.0, "rebinding.example", 1.0, "rebinding.example"),
        *("no-address.example.", "name.invalid.", "name.invalid.", "new.example.", 5.0, "new.example."),
    )
    command = [sys.executable, "-c", _REAL, steps]
    told = _told(in_own_network(tmp_path, zone, command, hosts="192.0.2.2 In-Hosts.example\n"))
    kind, unknown = "name_not_resolved", "Name or service not known"
    assert [set(told[0]), set(told[1])] == [
        {host, "192.0.2.1", "2001:db8::1"} for host in ("both.example", "Both.Example")
    ]
    assert told[2:] == [
        ["in-hosts.example", "192.0.2.2"],
        ["printer", "192.0.2.4"],
        ["bücher.example", "192.0.2.6"],
        ["broken.example.", kind, "broken.example.: Temporary failure in name resolution"],
        ["broken.example.", "192.0.2.3"],
        ["rebinding.example", "192.0.2.5"],
        ["rebinding.example", "192.0.2.5"],
        ["rebinding.example", "127.0.0.1"],
        ["no-address.example.", kind, "no-address.example.: No address associated with hostname"],
        ["name.invalid.", kind, f"name.invalid.: {unknown}"],
        ["name.invalid.", kind, f"name.invalid.: {unknown}"],
        ["new.example.", kind, f"new.example.: {unknown}"],
        ["new.example.", "192.0.2.8"],
    ]
    asked = questions(tmp_path)
    assert [asked.count(f"{name} A") for name in ("both.example", "rebinding.example", "name.invalid")] == [
        1,
        2,
        1,
    ]
    assert not [question for question in asked if "hosts" in question]


def test_a_silent_name_server_holds_up_neither_other_names_nor_the_exit(tmp_path: Path) -> None:
    script = """
from gevent import monkey
monkey.patch_all()
import gevent
from app.fetching.names import Names

names = Names(threads=2)
try:
    with gevent.Timeout(0.001):
        names.resolve("silent.example")
except gevent.Timeout:
    print(*names.resolve("good.example"), names.statistics().running, flush=True)
"""
    zone = {"silent.example": [SILENT], "good.example": [["192.0.2.1"]]}
    command = in_own_network(tmp_path, zone, [sys.executable, "-c", script])
    with running_process(command) as running:
        assert running.wait() == 0, running.stderr
        assert running.stdout == "192.0.2.1 1\n"


def test_a_public_address_can_be_ours_in_a_network_of_its_own(tmp_path: Path) -> None:
    script = """
import socket
with socket.create_server(("203.0.113.7", 0)) as server:
    with socket.create_connection(server.getsockname()) as connection:
        print(connection.getpeername()[0], connection.getsockname()[0])
"""
    command = in_own_network(tmp_path, {}, [sys.executable, "-c", script], addresses=["203.0.113.7"])
    with running_process(command) as running:
        assert running.wait() == 0, running.stderr
        assert running.stdout.split() == ["203.0.113.7", "203.0.113.7"]
