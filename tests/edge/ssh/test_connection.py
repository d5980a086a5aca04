from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import MSG_REQUEST_FAILURE, MSG_REQUEST_SUCCESS
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from pinggy.edge.ssh.channel import QUANTUM, FlowChannel
from pinggy.edge.ssh.connection import MOST_QUEUED, OrderedConnection


class RecordingTransport:
    """What a connection asks of the SSH transport."""

    def __init__(self) -> None:
        self.transport = StringTransport()
        self.packets: list[tuple[int, bytes]] = []
        self.on_sent: Callable[[], object] = lambda: None

    def sendPacket(self, kind: int, data: bytes) -> None:
        self.packets.append((kind, data))
        self.on_sent()

    def sendParts(self, kind: int, parts: Sequence[bytes | memoryview]) -> None:
        self.sendPacket(kind, b"".join(parts))


class SlowConnection(OrderedConnection):
    """Answers global requests when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Deferred[Any]] = []

    def gotGlobalRequest(self, requestType: bytes, data: bytes) -> Deferred[Any]:
        self.asked.append(Deferred())
        return self.asked[-1]


def connected() -> tuple[SlowConnection, RecordingTransport]:
    connection, transport = SlowConnection(), RecordingTransport()
    connection.transport = transport
    connection.serviceStarted()
    return connection, transport


def request(connection: OrderedConnection, want_reply: bool = True) -> None:
    connection.ssh_GLOBAL_REQUEST(NS(b"tcpip-forward") + bytes([want_reply]) + b"rest")


def test_replies_keep_the_order_of_the_requests() -> None:
    connection, transport = connected()
    for _ in range(3):
        request(connection)
    connection.asked[2].callback(b"third")
    connection.asked[1].callback(None)
    assert transport.packets == []
    connection.asked[0].callback(b"first")
    assert transport.packets == [
        (MSG_REQUEST_SUCCESS, b"first"),
        (MSG_REQUEST_FAILURE, b""),
        (MSG_REQUEST_SUCCESS, b"third"),
    ]


def test_a_failed_request_is_refused_and_the_next_is_answered() -> None:
    connection, transport = connected()
    request(connection)
    request(connection)
    connection.asked[1].callback(b"")
    connection.asked[0].errback(ValueError("no"))
    assert transport.packets == [(MSG_REQUEST_FAILURE, b""), (MSG_REQUEST_SUCCESS, b"")]


def test_no_reply_where_none_is_wanted() -> None:
    connection, transport = connected()
    request(connection, want_reply=False)
    connection.asked[0].callback(b"data")
    assert transport.packets == []


def test_reading_stops_while_too_many_requests_await_their_answer() -> None:
    connection, transport = connected()
    for _ in range(connection.mostWaiting):
        request(connection)
    assert transport.transport.producerState == "producing"
    request(connection)
    assert transport.transport.producerState == "paused"
    connection.asked[0].callback(b"")
    assert transport.transport.producerState == "producing"


class Taking(FlowChannel):
    name = b"taking"

    def __init__(self) -> None:
        super().__init__(localWindow=1000, localMaxPacket=400)
        self.got = b""

    def dataReceived(self, data: bytes) -> None:
        self.got += data


def with_channel() -> tuple[SlowConnection, RecordingTransport, Taking]:
    connection, transport = connected()
    channel = Taking()
    channel.conn = connection
    setattr(channel, "id", 0)  # noqa: B010 - Conch says that it is None
    channel.isOpen = True
    connection.channels[0] = channel
    connection.channelsToRemoteChannel[channel] = 7
    connection.localToRemoteChannel[0] = 7
    return connection, transport, channel


def data(payload: bytes, length: int | None = None) -> bytes:
    return struct.pack(">2L", 0, len(payload) if length is None else length) + payload


def test_data_goes_to_its_channel_and_its_window_shrinks() -> None:
    connection, _, channel = with_channel()
    connection.ssh_CHANNEL_DATA(data(b"x" * 100))
    assert channel.got == b"x" * 100
    assert channel.localWindowLeft == 900


def test_a_channel_that_gets_more_than_its_window_is_closed() -> None:
    connection, _, channel = with_channel()
    channel.pauseProducing()
    for _ in range(3):
        connection.ssh_CHANNEL_DATA(data(b"x" * 400))
    assert len(channel.got) == 800
    assert channel.localClosed


def test_a_packet_larger_than_was_agreed_closes_its_channel() -> None:
    connection, _, channel = with_channel()
    connection.ssh_CHANNEL_DATA(data(b"x" * 401))
    assert channel.got == b""
    assert channel.localClosed


def test_a_length_that_lies_closes_its_channel() -> None:
    connection, _, channel = with_channel()
    connection.ssh_CHANNEL_DATA(data(b"x" * 10, length=300))
    assert channel.got == b""
    assert channel.localClosed


def test_data_after_our_close_is_dropped() -> None:
    connection, _, channel = with_channel()
    connection.sendClose(channel)
    connection.ssh_CHANNEL_DATA(data(b"late"))
    assert channel.got == b""


def test_a_full_transport_holds_every_channel() -> None:
    connection, transport, channel = with_channel()
    channel.remoteWindowLeft, channel.remoteMaxPacket = 100, 100
    connection.pauseProducing()
    channel.write(b"waits")
    assert transport.packets == []
    connection.resumeProducing()
    assert [payload[8:] for _, payload in transport.packets] == [b"waits"]


class Writer(FlowChannel):
    """Notes whether it may write."""

    name = b"forwarded-tcpip"
    stopped = False

    def stopWriting(self) -> None:
        self.stopped = True

    def startWriting(self) -> None:
        self.stopped = False


def with_writers(count: int) -> tuple[SlowConnection, RecordingTransport, list[Writer]]:
    connection, transport = connected()
    connection.clock = Clock()
    writers = [Writer() for _ in range(count)]
    for number, writer in enumerate(writers):
        connection.openChannel(writer)
        connection.ssh_CHANNEL_OPEN_CONFIRMATION(struct.pack(">4L", number, number, 2**31, 32768))
    transport.packets.clear()
    return connection, transport, writers


def test_channels_take_turns_when_the_transport_takes_more_again() -> None:
    connection, transport, writers = with_writers(3)
    connection.pauseProducing()
    for number, writer in enumerate(writers):
        writer.write(bytes([number]) * 2 * QUANTUM)
    turn = QUANTUM // 32768
    transport.on_sent = lambda: connection.pauseProducing() if len(transport.packets) == turn else None
    served = []
    while any(writer.queued() for writer in writers):
        # The transport takes one turn and is full again.
        transport.packets.clear()
        connection.resumeProducing()
        served.append({payload[8] for _, payload in transport.packets})
    assert served == [{0}, {1}, {2}, {0}, {1}, {2}]


def test_more_than_one_turn_is_sent_at_once_where_nobody_else_waits() -> None:
    _, transport, (writer, *_) = with_writers(2)
    writer.write(bytes(3 * QUANTUM + 1))
    assert sum(len(payload) - 8 for _, payload in transport.packets) == 3 * QUANTUM + 1
    assert not writer.stopped


def test_what_was_written_before_the_channel_opened_is_sent_however_much_it_is() -> None:
    connection, transport = connected()
    connection.clock = Clock()
    writer = Writer()
    connection.openChannel(writer)
    writer.conn = connection
    writer.write(bytes(3 * QUANTUM))
    transport.packets.clear()
    connection.ssh_CHANNEL_OPEN_CONFIRMATION(struct.pack(">4L", 0, 0, 2**31, 32768))
    assert sum(len(payload) - 8 for _, payload in transport.packets) == 3 * QUANTUM


def test_who_has_nothing_waiting_may_write_until_too_much_waits() -> None:
    connection, _, writers = with_writers(20)
    connection.pauseProducing()
    writers[0].write(bytes(100))
    assert [writer.stopped for writer in writers[:3]] == [True, False, False]
    for writer in writers[1:-1]:
        writer.write(bytes(MOST_QUEUED // 16))
    assert all(writer.stopped for writer in writers)
    connection.resumeProducing()
    assert not any(writer.stopped for writer in writers)
    assert not any(writer.queued() for writer in writers)


# -- what a client may break off or never take ---------------------------------------------------------------------


def opening(connection: OrderedConnection) -> Taking:
    channel = Taking()
    connection.openChannel(channel)
    return channel


def test_a_channel_whose_packets_hold_nothing_does_not_open() -> None:
    connection, _ = connected()
    channel = opening(connection)
    with pytest.raises(ValueError, match="packets of 0 bytes"):
        connection.ssh_CHANNEL_OPEN_CONFIRMATION(struct.pack(">4L", 0, 7, 1000, 0))
    assert not channel.isOpen


def test_an_open_channel_can_neither_fail_nor_open_again() -> None:
    connection, _, channel = with_channel()
    with pytest.raises(ValueError, match="open already"):
        connection.ssh_CHANNEL_OPEN_FAILURE(struct.pack(">2L", 0, 1) + NS(b"no") + NS(b""))
    with pytest.raises(ValueError, match="open already"):
        connection.ssh_CHANNEL_OPEN_CONFIRMATION(struct.pack(">4L", 0, 8, 1000, 1000))
    assert connection.channels[0] is channel


def test_channels_write_nothing_while_keys_change_or_the_transport_is_full() -> None:
    connection, transport, channel = with_channel()
    channel.remoteWindowLeft, channel.remoteMaxPacket = 100, 100
    connection.keysChange(True)
    channel.write(b"waits")
    connection.pauseProducing()
    connection.keysChange(False)
    assert transport.packets == []
    connection.resumeProducing()
    assert [payload[8:] for _, payload in transport.packets] == [b"waits"]
