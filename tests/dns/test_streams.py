"""
One connection in memory, with a clock.
"""

from __future__ import annotations

import dns.message
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.protocols.basic import Int16StringReceiver

from pinggy.dns.datagrams import LONGEST_QUESTION
from pinggy.dns.streams import Stream, Streams
from tests.dns.zones import small_zone


class Connection:
    def __init__(self, streams: Streams) -> None:
        stream = streams.buildProtocol(None)
        self.protocol: Stream = stream
        self.transport = StringTransportWithDisconnection()
        self.transport.protocol = stream
        stream.makeConnection(self.transport)

    @property
    def is_open(self) -> bool:
        return bool(self.transport.connected)

    def feed(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def ids(self) -> list[int]:
        replies = Replies()
        replies.dataReceived(self.transport.value())
        return replies.ids


class Replies(Int16StringReceiver):
    def __init__(self) -> None:
        self.ids: list[int] = []

    def stringReceived(self, string: bytes) -> None:
        self.ids.append(dns.message.from_wire(string).id)


def make_streams(clock: Clock, most: int = 64) -> Streams:
    return Streams(clock, small_zone().contents, 10.0, most)


def question(ident: int, name: str = "eu.a.example") -> bytes:
    return dns.message.make_query(name, "A", id=ident).to_wire(prepend_length=True)


@given(st.lists(st.integers(1, 400), max_size=20))
def test_several_questions_split_anywhere(cuts: list[int]) -> None:
    connection = Connection(make_streams(Clock()))
    data = b"".join(question(ident) for ident in range(5))
    at = 0
    for cut in cuts:
        connection.feed(data[at : at + cut])
        at += cut
    connection.feed(data[at:])
    assert connection.ids() == [0, 1, 2, 3, 4]
    connection.transport.loseConnection()


def test_every_byte_alone() -> None:
    connection = Connection(make_streams(Clock()))
    for byte in question(1) + question(2):
        connection.feed(bytes([byte]))
    assert connection.ids() == [1, 2]


def test_ten_seconds_without_a_whole_question_end_it() -> None:
    clock = Clock()
    connection = Connection(make_streams(clock))
    clock.advance(9)
    connection.feed(question(1))
    clock.advance(9)
    assert connection.is_open
    connection.feed(question(2)[:5])
    clock.advance(1)
    assert not connection.is_open
    assert not clock.getDelayedCalls()


def test_the_quietest_gives_way() -> None:
    streams = make_streams(Clock(), most=2)
    first, second = Connection(streams), Connection(streams)
    first.feed(question(1))
    third = Connection(streams)
    assert [each.is_open for each in (first, second, third)] == [True, False, True]


def test_replies_that_are_not_taken_stop_the_reading() -> None:
    connection = Connection(make_streams(Clock()))
    assert connection.transport.streaming
    connection.protocol.pauseProducing()
    connection.feed(question(1) + question(2))
    assert connection.ids() == []
    connection.protocol.resumeProducing()
    assert connection.ids() == [1, 2]


def test_a_response_a_fragment_and_a_giant_end_it() -> None:
    response = dns.message.make_response(dns.message.make_query("eu.a.example", "A"))
    for data in (response.to_wire(prepend_length=True), b"\0\3abc", (LONGEST_QUESTION + 1).to_bytes(2, "big")):
        connection = Connection(make_streams(Clock()))
        connection.feed(question(1) + data + question(2))
        assert connection.ids() == [1]
        assert not connection.is_open


def test_a_client_that_has_asked_all_still_gets_its_replies() -> None:
    connection = Connection(make_streams(Clock()))
    connection.feed(question(1))
    connection.protocol.readConnectionLost()
    assert connection.ids() == [1]
    assert not connection.is_open


def test_close_waits_for_all() -> None:
    streams = make_streams(Clock())
    connections = [Connection(streams), Connection(streams)]
    closed = streams.close()
    assert closed.called
    assert not any(each.is_open for each in connections)
    assert streams.close().called
