from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from pinggy.edge.ssh.channel import MAX_PACKET, FlowChannel
from pinggy.edge.ssh.window import WindowBudget


class RecordingConnection:
    """What a channel asks of its connection, written down."""

    def __init__(self) -> None:
        self.held = False
        self.holdsAll = False
        self.clock = Clock()
        self.budget = WindowBudget(0)
        self.queued = 0
        self.waiting: list[FlowChannel] = []
        self.sent: list[bytes] = []
        self.credits: list[int] = []
        self.events: list[str] = []

    def sendData(self, channel: FlowChannel, data: bytes | memoryview) -> None:
        self.sent.append(bytes(data))
        self.events.append("data")

    def queuedChanged(self, count: int) -> None:
        self.queued += count

    def wait(self, channel: FlowChannel) -> None:
        self.waiting.append(channel)

    def serveWaiting(self) -> None:
        while self.waiting and not self.held:
            self.waiting.pop(0).turn()

    def release(self) -> None:
        self.held = False
        self.serveWaiting()

    def adjustWindow(self, channel: FlowChannel, count: int) -> None:
        channel.localWindowLeft += count
        self.credits.append(count)

    def sendEOF(self, channel: FlowChannel) -> None:
        self.events.append("eof")

    def sendClose(self, channel: FlowChannel) -> None:
        if not channel.localClosed:
            channel.localClosed = True
            self.events.append("close")


class RecordingChannel(FlowChannel):
    def __init__(self, **window: int) -> None:
        super().__init__(**window)
        self.stops: list[bool] = []

    def stopWriting(self) -> None:
        self.stops.append(True)

    def startWriting(self) -> None:
        self.stops.append(False)


def open_channel(remote_window: int = 100, **window: int) -> tuple[RecordingChannel, RecordingConnection]:
    channel = RecordingChannel(remoteWindow=remote_window, remoteMaxPacket=32, **window)
    channel.conn = connection = RecordingConnection()
    channel.channelOpen(b"")
    return channel, connection


def arrive(channel: FlowChannel, count: int) -> None:
    channel.localWindowLeft -= count
    channel.taken(count)


def test_window_is_credited_when_the_owner_has_consumed() -> None:
    channel, connection = open_channel(localWindow=1000)
    arrive(channel, 200)
    assert connection.credits == []
    arrive(channel, 100)
    assert connection.credits == [300]


def test_window_is_not_credited_while_the_owner_is_paused() -> None:
    channel, connection = open_channel(localWindow=1000)
    channel.pauseProducing()
    arrive(channel, 1000)
    assert connection.credits == []
    assert channel.localWindowLeft == 0
    channel.resumeProducing()
    assert connection.credits == [1000]


def test_writing_stops_when_the_remote_window_is_used_up_and_starts_with_room() -> None:
    channel, connection = open_channel(remote_window=10)
    channel.write(b"x" * 10)
    assert channel.stops == []
    channel.write(b"y" * 5)
    assert channel.stops == [True]
    channel.addWindowBytes(3)
    assert channel.stops == [True]
    channel.addWindowBytes(100)
    assert channel.stops == [True, False]
    assert b"".join(connection.sent) == b"x" * 10 + b"y" * 5


def test_no_packet_is_larger_than_the_other_side_takes() -> None:
    channel, connection = open_channel(remote_window=1000)
    channel.write(bytes(100))
    assert [len(each) for each in connection.sent] == [32, 32, 32, 4]


def test_end_follows_what_was_written() -> None:
    channel, connection = open_channel(remote_window=4)
    channel.write(b"abcdef")
    channel.end()
    assert connection.events == ["data"]
    channel.addWindowBytes(10)
    assert connection.events == ["data", "data", "eof"]


def test_nothing_is_sent_after_the_end() -> None:
    channel, connection = open_channel()
    channel.end()
    channel.write(b"late")
    channel.end()
    assert connection.events == ["eof"]


def test_close_follows_what_was_written_and_abort_does_not_wait() -> None:
    channel, connection = open_channel(remote_window=4)
    channel.write(b"abcdef")
    channel.loseConnection()
    assert connection.events == ["data"]
    channel.abortConnection()
    assert connection.events == ["data", "close"]
    assert channel.queued() == 0


def test_a_channel_closed_before_it_opened_closes_when_it_opens() -> None:
    channel = RecordingChannel(remoteWindow=100, remoteMaxPacket=32)
    channel.conn = connection = RecordingConnection()
    channel.abortConnection()
    assert connection.events == []
    channel.channelOpen(b"")
    assert connection.events == ["close"]


def test_what_is_written_before_the_channel_is_open_waits() -> None:
    channel = RecordingChannel()
    channel.conn = connection = RecordingConnection()
    channel.write(b"early")
    assert connection.sent == []
    channel.remoteWindowLeft, channel.remoteMaxPacket = 100, 32
    channel.channelOpen(b"")
    assert connection.sent == [b"early"]


def test_a_held_connection_stops_writing_until_it_is_released() -> None:
    channel, connection = open_channel()
    connection.held = True
    channel.write(b"waits")
    assert channel.stops == [True]
    assert connection.sent == []
    assert connection.queued == 5
    connection.release()
    assert connection.queued == 0
    assert connection.sent == [b"waits"]
    assert channel.stops == [True, False]


def test_a_held_connection_does_not_matter_to_a_channel_that_is_not_open_yet() -> None:
    # Conch gives a channel its connection when the client has confirmed it.
    channel = RecordingChannel()
    channel.connectionHeldChanged()
    assert channel.stops == []
    channel.conn = connection = RecordingConnection()
    connection.held = connection.holdsAll = True
    channel.remoteWindowLeft, channel.remoteMaxPacket = 100, 32
    channel.channelOpen(b"")
    assert channel.stops == [True]


@given(
    steps=st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=100),
            st.integers(min_value=1, max_value=120),
            st.sampled_from(["hold", "release"]),
        ),
        max_size=40,
    ),
    window=st.integers(min_value=0, max_value=200),
)
def test_every_byte_arrives_in_order_and_never_beyond_the_window(steps: list[Any], window: int) -> None:
    channel, connection = open_channel(remote_window=window)
    written, room = b"", window
    for step in steps:
        if isinstance(step, bytes):
            written += step
            channel.write(step)
        elif isinstance(step, int):
            room += step
            channel.addWindowBytes(step)
        else:
            connection.held = step == "hold"
            connection.serveWaiting()
        sent = b"".join(connection.sent)
        assert written.startswith(sent)
        assert len(sent) + channel.remoteWindowLeft == room
        assert channel.queued() == connection.queued == len(written) - len(sent)
        assert channel.remoteWindowLeft >= 0
    channel.addWindowBytes(len(written))
    connection.release()
    assert b"".join(connection.sent) == written
    assert all(len(each) <= 32 for each in connection.sent)


@pytest.mark.parametrize("window", [64 * 1024, 2 * 1024 * 1024])
def test_the_other_side_never_runs_dry_while_the_owner_keeps_up(window: int) -> None:
    channel, _ = open_channel(localWindow=window)
    for _ in range(1000):
        assert channel.localWindowLeft >= MAX_PACKET
        arrive(channel, MAX_PACKET)
