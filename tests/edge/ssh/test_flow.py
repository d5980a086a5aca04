"""The bytes of one visitor through an SSH channel: nothing is lost, and nothing waits beyond a window."""

from __future__ import annotations

from typing import Any

import pytest

from pinggy.edge.ssh.window import START
from pinggy.edge.stream import Stream, StreamReceiver
from tests.support.edges import EdgeInMemory
from tests.support.ssh_pair import Pair, Visit


class Receiver(StreamReceiver):
    """The visitor's side, written down; while *slow* it takes nothing more after each delivery."""

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self.received = bytearray()
        self.events: list[str] = []
        self.slow = False

    def stream_data(self, data: bytes) -> None:
        self.received += data
        if self.slow and self.stream is not None:
            self.stream.pause()

    def stream_ended(self) -> None:
        self.events.append("ended")

    def stream_closed(self) -> None:
        self.events.append("closed")

    def stream_full(self) -> None:
        self.events.append("full")

    def stream_drained(self) -> None:
        self.events.append("drained")


def visited(edge: EdgeInMemory) -> tuple[Pair, Visit, Stream, Receiver]:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    pair.session()
    streams: list[Any] = []
    edge.visit("blog").addCallback(streams.append)
    pair.flush()
    receiver = Receiver()
    receiver.stream = streams[0]
    streams[0].attach(receiver)
    return pair, pair.connection.forwarded[0], streams[0], receiver


def test_the_client_is_told_what_it_asked_for_and_who_comes(edge: EdgeInMemory) -> None:
    _, visit, stream, _ = visited(edge)
    assert (visit.bind, visit.bind_port, visit.originator) == ("localhost", 1, "198.51.100.7")
    stream.abort()


def test_bytes_go_both_ways(edge: EdgeInMemory) -> None:
    pair, visit, stream, receiver = visited(edge)
    stream.write(b"question")
    visit.write(b"answer")
    pair.flush()
    assert visit.received == b"question"
    assert receiver.received == b"answer"
    stream.abort()


def test_a_visitor_who_takes_nothing_costs_one_window(edge: EdgeInMemory) -> None:
    pair, visit, stream, receiver = visited(edge)
    payload = bytes(range(256)) * (4 * START // 256)
    receiver.slow = True
    visit.write(payload)
    pair.flush()
    assert len(receiver.received) <= START
    receiver.slow = False
    stream.resume()
    pair.flush()
    assert receiver.received == payload
    stream.abort()


def test_a_neighbour_of_a_stalled_visitor_is_served(edge: EdgeInMemory) -> None:
    pair, visit, stream, receiver = visited(edge)
    stream.pause()
    visit.write(bytes(2 * START))
    pair.flush()
    others: list[Any] = []
    edge.visit("blog").addCallback(others.append)
    pair.flush()
    other = Receiver()
    others[0].attach(other)
    pair.connection.forwarded[1].write(b"x" * 3 * START)
    pair.flush()
    assert len(other.received) == 3 * START
    assert len(receiver.received) <= START
    stream.abort()
    others[0].abort()


class Deaf(Visit):
    """A client whose local server takes nothing: its window is never credited."""

    def __init__(self) -> None:
        super().__init__(window=1000)
        self.localWindowSize = 1


def test_the_visitor_is_stopped_while_the_clients_window_is_full(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.connection.accept_forwarded = Deaf
    pair.forward()
    pair.session()
    streams: list[Any] = []
    edge.visit("blog").addCallback(streams.append)
    pair.flush()
    stream, receiver = streams[0], Receiver()
    stream.attach(receiver)
    visit = pair.connection.forwarded[0]
    # The size said in the open's confirmation was 1: what it has room for comes by credits alone.
    pair.connection.adjustWindow(visit, 999)
    pair.flush()
    stream.write(b"x" * 1000)
    assert receiver.events == []
    stream.write(b"y" * 500)
    pair.flush()
    assert receiver.events == ["full"]
    assert len(visit.received) == 1000
    pair.connection.adjustWindow(visit, 400)
    pair.flush()
    assert receiver.events == ["full"]
    pair.connection.adjustWindow(visit, 400)
    pair.flush()
    assert receiver.events == ["full", "drained"]
    assert visit.received == b"x" * 1000 + b"y" * 500
    stream.abort()


def test_each_side_ends_alone(edge: EdgeInMemory) -> None:
    pair, visit, stream, receiver = visited(edge)
    stream.write(b"all")
    stream.end()
    pair.flush()
    assert (visit.received, visit.ended, visit.over) == (b"all", True, False)
    visit.write(b"still here")
    pair.connection.sendEOF(visit)
    pair.flush()
    assert receiver.received == b"still here"
    assert receiver.events == ["ended"]
    stream.close()
    pair.flush()
    assert visit.over
    assert receiver.events == ["ended", "closed"]


def test_a_client_that_closes_closes_the_stream(edge: EdgeInMemory) -> None:
    pair, visit, _, receiver = visited(edge)
    visit.loseConnection()
    pair.flush()
    assert receiver.events == ["closed"]


def test_a_client_that_vanishes_closes_its_streams(edge: EdgeInMemory) -> None:
    pair, _, stream, receiver = visited(edge)
    pair.vanish()
    assert receiver.events == ["closed"]
    stream.write(b"late")
    stream.end()
    stream.close()
    stream.pause()
    stream.resume()


@pytest.mark.parametrize("action", ["data", "end", "close"])
def test_what_comes_before_the_receiver_is_told_when_it_is_there(edge: EdgeInMemory, action: str) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    pair.session()
    streams: list[Any] = []
    edge.visit("blog").addCallback(streams.append)
    pair.flush()
    visit = pair.connection.forwarded[0]
    visit.write(b"early")
    if action == "end":
        pair.connection.sendEOF(visit)
    elif action == "close":
        visit.loseConnection()
    pair.flush()
    receiver = Receiver()
    streams[0].attach(receiver)
    assert receiver.received == b"early"
    assert receiver.events == {"data": [], "end": ["ended"], "close": ["closed"]}[action]
    streams[0].abort()
