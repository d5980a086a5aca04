"""
What Conch's SSHConnection lacks (RFC 4254): global requests that are answered when their Deferred has fired, in the
order of the requests, and channels that credit their window themselves.

Imports nothing of ours, so that it could be offered upstream.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.conch.error import ConchError
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.connection import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_SUCCESS,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
    OPEN_CONNECT_FAILED,
    SSHConnection,
)
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from pinggy.edge.ssh.channel import FlowChannel
from pinggy.edge.ssh.window import WindowBudget

# RFC 4253 6.1 asks everybody for 32768; with less than this, what is written would be packet headers more than data.
LEAST_PACKET = 256
MOST_QUEUED = 1024 * 1024  # bytes that the channels of one connection keep while it is held; then none may write
WINDOWS = 16 * 1024 * 1024  # bytes of a connection's windows beyond their starts
_DATA = struct.Struct(">2L")


class _Reply:
    """The place of one global request in the order of replies; *message* is set when it is known."""

    __slots__ = ("message",)

    def __init__(self) -> None:
        self.message: tuple[int, bytes] | None = None


@implementer(IPushProducer)
class OrderedConnection(SSHConnection):
    """
    `gotGlobalRequest` may return a Deferred of reply data (bytes), or of None for "failed".

    While more than *mostWaiting* requests await their answer, nothing more is read from the client: it fills its own
    buffers, not ours. As the producer of the client's transport it holds its channels' writes while that is full; when
    it is not any more, they take turns.

    Set before it starts: *clock*; and *budget*, what its channels' windows may have together.
    """

    mostWaiting = 128
    transport: Any
    clock: IReactorTime

    def __init__(self) -> None:
        super().__init__()
        self._replies: list[_Reply] = []
        self._reading = True
        self.full = False
        self.held = False
        self.holdsAll = False
        self.budget = WindowBudget(WINDOWS)
        self._keys_change = False
        self._queued = 0
        self._waiting: dict[FlowChannel, None] = {}
        self._serving = False

    def serviceStarted(self) -> None:
        super().serviceStarted()
        self.transport.transport.registerProducer(self, True)

    def serviceStopped(self) -> None:
        self.transport.transport.unregisterProducer()
        super().serviceStopped()

    # -- global requests --------------------------------------------------------------------------------------

    def ssh_GLOBAL_REQUEST(self, packet: bytes) -> None:
        requestType, rest = getNS(packet)
        wantReply, data = rest[:1] != b"\0", rest[1:]
        reply = _Reply()
        if wantReply:
            self._replies.append(reply)
        d: Deferred[Any] = maybeDeferred(self.gotGlobalRequest, requestType, data)
        d.addCallbacks(self._answer, self._refuse, callbackArgs=(reply,), errbackArgs=(reply,))
        self._watch_reading()

    def _answer(self, data: bytes | None, reply: _Reply) -> None:
        reply.message = (MSG_REQUEST_FAILURE, b"") if data is None else (MSG_REQUEST_SUCCESS, data)
        self._send_replies()

    def _refuse(self, failure: Failure, reply: _Reply) -> None:
        self.globalRequestFailed(failure)
        reply.message = (MSG_REQUEST_FAILURE, b"")
        self._send_replies()

    def globalRequestFailed(self, failure: Failure) -> None:
        """Called with the failure of a global request before the other side is refused."""

    def _send_replies(self) -> None:
        while self._replies and self._replies[0].message is not None:
            kind, data = self._replies.pop(0).message or (MSG_REQUEST_FAILURE, b"")
            self.transport.sendPacket(kind, data)
        self._watch_reading()

    def _watch_reading(self) -> None:
        reading = len(self._replies) <= self.mostWaiting
        if reading != self._reading:
            self._reading = reading
            if reading:
                self.transport.transport.resumeProducing()
            else:
                self.transport.transport.pauseProducing()

    # -- channels that open -------------------------------------------------------------------------------------

    def getChannel(self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes) -> Any:
        if maxPacket < LEAST_PACKET:
            raise ConchError(f"Packets of less than {LEAST_PACKET} bytes are not offered.", OPEN_CONNECT_FAILED)
        return super().getChannel(channelType, windowSize, maxPacket, data)

    def ssh_CHANNEL_OPEN_CONFIRMATION(self, packet: bytes) -> None:
        localChannel, _, _, maxPacket = struct.unpack_from(">4L", packet)
        self._check_opening(localChannel)
        if maxPacket < LEAST_PACKET:
            raise ValueError(f"a channel with packets of {maxPacket} bytes")
        super().ssh_CHANNEL_OPEN_CONFIRMATION(packet)

    def ssh_CHANNEL_OPEN_FAILURE(self, packet: bytes) -> None:
        (localChannel,) = struct.unpack_from(">L", packet)
        self._check_opening(localChannel)
        super().ssh_CHANNEL_OPEN_FAILURE(packet)

    def _check_opening(self, localChannel: int) -> None:
        # Conch would forget a channel that stands, and fail over it when the connection is lost.
        if localChannel in self.localToRemoteChannel:
            raise ValueError(f"channel {localChannel} is open already")

    def ssh_CHANNEL_REQUEST(self, packet: bytes) -> None:
        """One that cannot be read ends the connection; Conch would log a traceback where no reply is wanted."""
        (localChannel,) = struct.unpack_from(">L", packet)
        requestType, rest = getNS(packet[4:])
        accepted = self.channels[localChannel].requestReceived(requestType, rest[1:])
        if rest[:1] != b"\0":
            remote = struct.pack(">L", self.localToRemoteChannel[localChannel])
            self.transport.sendPacket(MSG_CHANNEL_SUCCESS if accepted else MSG_CHANNEL_FAILURE, remote)

    # -- channel data -----------------------------------------------------------------------------------------

    def packetReceived(self, messageNum: int, packet: bytes | memoryview) -> None:
        # What nearly every packet is, without a look-up by name.
        if messageNum == MSG_CHANNEL_DATA:
            self.ssh_CHANNEL_DATA(packet)
        else:
            super().packetReceived(messageNum, packet)

    def ssh_CHANNEL_DATA(self, packet: bytes | memoryview) -> None:
        localChannel, length = _DATA.unpack_from(packet)
        self._take(self.channels[localChannel], bytes(packet[8 : 8 + length]), length, None)

    def sendData(self, channel: FlowChannel, data: bytes | memoryview) -> None:
        if not channel.localClosed:
            head = _DATA.pack(self.channelsToRemoteChannel[channel], len(data))
            self.transport.sendParts(MSG_CHANNEL_DATA, (head, data))

    def ssh_CHANNEL_EXTENDED_DATA(self, packet: bytes) -> None:
        localChannel, dataType, length = struct.unpack_from(">3L", packet)
        self._take(self.channels[localChannel], packet[12 : 12 + length], length, dataType)

    def _take(self, channel: FlowChannel, data: bytes, length: int, dataType: int | None) -> None:
        if channel.localClosed:
            return
        if length != len(data) or length > channel.localWindowLeft or length > channel.localMaxPacket:
            self.sendClose(channel)
            return
        channel.localWindowLeft -= length
        if dataType is None:
            channel.dataReceived(data)
        else:
            channel.extReceived(dataType, data)
        channel.taken(length)

    # -- the client's transport is full, or may not be used now ---------------------------------------------------

    def pauseProducing(self) -> None:
        self.full = True
        self._held_changed()

    def resumeProducing(self) -> None:
        self.full = False
        self._held_changed()

    def keysChange(self, begun: bool) -> None:
        """Until new keys are agreed (RFC 4253 9) the transport would keep in memory whatever channels write."""
        self._keys_change = begun
        self._held_changed()

    def _held_changed(self) -> None:
        self.held = self.full or self._keys_change
        self.serveWaiting()
        self._hold_all()

    # -- channels that have something to send, one after the other --------------------------------------------------

    def wait(self, channel: FlowChannel) -> None:
        """*channel* has more to send than it may now: it gets its turn, behind those that wait already."""
        self._waiting[channel] = None

    def serveWaiting(self) -> None:
        """Let those that wait have their turns, for as long as the transport takes what they send."""
        if self._serving:
            return
        self._serving = True
        try:
            while self._waiting and not self.held:
                channel = next(iter(self._waiting))
                del self._waiting[channel]
                channel.turn()
        finally:
            self._serving = False

    def queuedChanged(self, count: int) -> None:
        """The channels keep *count* bytes more (or less) that could not be sent."""
        self._queued += count
        if count > 0:
            self._hold_all()

    def _hold_all(self) -> None:
        """
        Who has nothing waiting may write while the connection is held, until too much waits: to stop and start
        hundreds of visitors each time that the transport is full for a moment costs more than it saves.
        """
        hold = self.held and self._queued > MOST_QUEUED
        if hold != self.holdsAll:
            self.holdsAll = hold
            for channel in list(self.channels.values()):
                channel.connectionHeldChanged()

    def channelClosed(self, channel: FlowChannel) -> None:
        self._waiting.pop(channel, None)
        channel.over()
        super().channelClosed(channel)

    def stopProducing(self) -> None:
        """The transport is gone; connectionLost follows."""
