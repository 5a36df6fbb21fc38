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
def sockets(called: Event) -> Iterator[SocketSet]:
    made = SocketSet(get_hub().loop, called.set)
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
