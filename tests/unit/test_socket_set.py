from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import pycurl
import pytest
from gevent.event import Event
from gevent.hub import get_hub

from app.fetching.socket_set import EVENTS_AT_ONCE, SocketSet

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def called() -> Event:
    """Set by the hub."""
    return Event()


@pytest.fixture
def held_up() -> set[str]:
    """Somebody's answers; empty unless a test adds one."""
    return set()


@pytest.fixture
def sockets(called: Event, held_up: set[str]) -> Iterator[SocketSet]:
    made = SocketSet(get_hub().loop, called.set, lambda: bool(held_up))
    yield made
    made.stop_watching()
    made.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_ready_socket_is_told_with_what_it_is_ready_for(sockets: SocketSet, pair: Pair) -> None:
    ours, theirs = pair
    sockets.wait_for(ours.fileno(), pycurl.POLL_IN)
    assert sockets.ready() == []
    theirs.send(b"x")
    assert sockets.ready() == [(ours.fileno(), pycurl.CSELECT_IN)]
    sockets.wait_for(ours.fileno(), pycurl.POLL_INOUT)
    assert sockets.ready() == [(ours.fileno(), pycurl.CSELECT_IN | pycurl.CSELECT_OUT)]
    assert len(sockets) == 1


def test_of_many_that_are_ready_some_are_told_at_a_time_and_each_in_its_turn(sockets: SocketSet) -> None:
    pairs = [socket.socketpair() for _ in range(2 * EVENTS_AT_ONCE)]
    try:
        for ours, theirs in pairs:
            sockets.wait_for(ours.fileno(), pycurl.POLL_IN)
            theirs.send(b"x")
        told = [[descriptor for descriptor, _ in sockets.ready()] for _ in range(2)]
        assert [len(part) for part in told] == [EVENTS_AT_ONCE] * 2
        assert set(told[0] + told[1]) == {ours.fileno() for ours, _ in pairs}
    finally:
        for ours, theirs in pairs:
            ours.close()
            theirs.close()


def test_a_resting_socket_is_not_told_and_can_be_had_back(sockets: SocketSet, pair: Pair) -> None:
    ours, theirs = pair
    sockets.wait_for(ours.fileno(), pycurl.POLL_IN)
    sockets.wait_for(ours.fileno(), pycurl.POLL_REMOVE)
    assert len(sockets) == 0
    sockets.wait_for(ours.fileno(), pycurl.POLL_IN)
    theirs.send(b"x")
    assert sockets.ready() == [(ours.fileno(), pycurl.CSELECT_IN)]


def test_a_resting_socket_that_becomes_ready_is_taken_out_and_can_be_had_back(sockets: SocketSet, pair: Pair) -> None:
    ours, theirs = pair
    sockets.wait_for(ours.fileno(), pycurl.POLL_IN)
    sockets.wait_for(ours.fileno(), pycurl.POLL_REMOVE)
    theirs.send(b"x")
    assert sockets.ready() == []
    assert not select.select([sockets._epoll.fileno()], [], [], 0)[0], "the loop would turn for ever"
    sockets.wait_for(ours.fileno(), pycurl.POLL_IN)
    assert sockets.ready() == [(ours.fileno(), pycurl.CSELECT_IN)]


def test_a_number_that_is_opened_anew_has_no_past(sockets: SocketSet, pair: Pair) -> None:
    ours, theirs = socket.socketpair()
    number = ours.fileno()
    sockets.wait_for(number, pycurl.POLL_IN)
    sockets.wait_for(number, pycurl.POLL_REMOVE)
    os.dup2(pair[0].fileno(), number)  # closed, and another one in its place
    try:
        sockets.opened(number)
        sockets.wait_for(number, pycurl.POLL_IN)
        pair[1].send(b"x")
        assert sockets.ready() == [(number, pycurl.CSELECT_IN)]
    finally:
        sockets.forget(number)
        ours.close()
        theirs.close()


def test_what_a_forked_process_still_has_does_not_keep_the_loop_turning(
    sockets: SocketSet, pair: Pair, called: Event
) -> None:
    ours, theirs = socket.socketpair()
    copy = os.dup(ours.fileno())  # as a fork makes one
    sockets.wait_for(ours.fileno(), pycurl.POLL_IN)
    sockets.wait_for(ours.fileno(), pycurl.POLL_REMOVE)
    sockets.wait_for(pair[0].fileno(), pycurl.POLL_IN)
    ours.close()
    theirs.close()
    try:
        assert sockets.ready() == []
        assert not select.select([sockets._epoll.fileno()], [], [], 0)[0], "the loop would turn for ever"
        pair[1].send(b"x")
        assert sockets.ready() == [(pair[0].fileno(), pycurl.CSELECT_IN)], "who was waited for is watched on"
        called.clear()
        assert called.wait(30), "and by the hub"
    finally:
        os.close(copy)


@pytest.mark.parametrize("expected", ["silence", "anything", "silence, but somebody holds up an answer"])
def test_who_speaks_though_silence_is_expected_is_shut_down(
    sockets: SocketSet, pair: Pair, held_up: set[str], expected: str
) -> None:
    ours, theirs = pair
    if expected != "anything":
        sockets.expect_silence(ours.fileno())
    if expected.endswith("an answer"):
        held_up.add("an answer")
    sockets.wait_for(ours.fileno(), pycurl.POLL_IN)
    theirs.send(b"asked for")
    assert sockets.ready() == [(ours.fileno(), pycurl.CSELECT_IN)]
    assert ours.recv(100) == b"asked for"
    sockets.wait_for(ours.fileno(), pycurl.POLL_REMOVE)
    theirs.send(b"x")
    sockets.check_resting()
    if expected == "silence":
        with pytest.raises(BrokenPipeError):
            ours.send(b"the next request")
    else:
        assert ours.send(b"the next request")


def test_who_only_takes_more_is_not_shut_down_and_is_listened_to(sockets: SocketSet, pair: Pair) -> None:
    ours, theirs = pair
    sockets.expect_silence(ours.fileno())
    sockets.wait_for(ours.fileno(), pycurl.POLL_OUT)
    sockets.wait_for(ours.fileno(), pycurl.POLL_REMOVE)
    sockets.check_resting()
    assert ours.send(b"the next request")
    assert not select.select([sockets._epoll.fileno()], [], [], 0)[0], "the loop would turn for ever"
    theirs.send(b"x")
    sockets.check_resting()
    with pytest.raises(BrokenPipeError):
        ours.send(b"one more")


def test_what_lies_unread_is_found_behind_a_wait_for_room(sockets: SocketSet, pair: Pair) -> None:
    ours, theirs = pair
    sockets.expect_silence(ours.fileno())
    sockets.wait_for(ours.fileno(), pycurl.POLL_OUT)
    sockets.wait_for(ours.fileno(), pycurl.POLL_REMOVE)
    theirs.send(b"x")
    sockets.check_resting()
    with pytest.raises(BrokenPipeError):
        ours.send(b"the next request")


def test_a_number_that_is_opened_anew_may_speak(sockets: SocketSet, pair: Pair) -> None:
    ours, theirs = pair
    sockets.expect_silence(ours.fileno())
    sockets.opened(ours.fileno())
    sockets.wait_for(ours.fileno(), pycurl.POLL_IN)
    sockets.wait_for(ours.fileno(), pycurl.POLL_REMOVE)
    theirs.send(b"x")
    sockets.check_resting()
    assert ours.send(b"the next request")


def test_a_number_that_is_somebody_elses_is_left_alone(sockets: SocketSet, pair: Pair) -> None:
    """libcurl has closed its socket, a forked process still has it, and something else was opened under its number."""
    ours, theirs = socket.socketpair()
    number, copy = ours.fileno(), os.dup(ours.fileno())
    sockets.expect_silence(number)
    sockets.wait_for(number, pycurl.POLL_IN)
    sockets.wait_for(number, pycurl.POLL_REMOVE)
    os.dup2(pair[0].fileno(), number)
    try:
        theirs.send(b"x")
        sockets.check_resting()
        assert pair[0].send(b"goes through")
    finally:
        os.close(copy)
        ours.close()
        theirs.close()


def test_who_rests_is_checked_behind_any_number_that_is_ready_and_their_order_stays(
    sockets: SocketSet, pair: Pair
) -> None:
    pairs = [socket.socketpair() for _ in range(2 * EVENTS_AT_ONCE)]
    ours, theirs = pair
    sockets.expect_silence(ours.fileno())
    sockets.wait_for(ours.fileno(), pycurl.POLL_IN)
    sockets.wait_for(ours.fileno(), pycurl.POLL_REMOVE)
    try:
        for one, other in pairs:
            sockets.wait_for(one.fileno(), pycurl.POLL_IN)
            other.send(b"x")
        theirs.send(b"x")
        sockets.check_resting()
        with pytest.raises(BrokenPipeError):
            ours.send(b"the next request")
        told = [descriptor for descriptor, _ in sockets.ready()]
        sockets.check_resting()
        told += [descriptor for descriptor, _ in sockets.ready()]
        assert told == [one.fileno() for one, _ in pairs]
    finally:
        for one, other in pairs:
            one.close()
            other.close()
