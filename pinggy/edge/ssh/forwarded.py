"""
A ``forwarded-tcpip`` channel (RFC 4254 7.2): the stream of one visitor.
"""

from __future__ import annotations

import struct

from twisted.conch.error import ConchError
from twisted.conch.ssh.common import NS
from twisted.internet.defer import Deferred

from pinggy.edge.client import Peer
from pinggy.edge.ssh.channel import FlowChannel
from pinggy.edge.ssh.silence import SILENT
from pinggy.edge.stalls import Stalls
from pinggy.edge.stream import Cause, Stream, StreamReceiver, StreamRefused


class ForwardedChannel(FlowChannel):
    """
    Implements `pinggy.edge.stream.Stream`; *opened* fires with this channel when the client has accepted it.

    A visitor who left in the meantime cancels *opened*: the channel is then closed as soon as it opens. *stalls* counts
    how often one side had to wait for the other.
    """

    _log = SILENT
    name = b"forwarded-tcpip"

    def __init__(self, stalls: Stalls | None = None) -> None:
        super().__init__()
        self._stalls = stalls or Stalls()
        self._client_full = False
        self._visitor_full = False
        self.opened: Deferred[Stream] = Deferred(lambda _: self.abort())
        self._receiver: StreamReceiver | None = None
        self._early: list[bytes] = []
        self._early_end = False
        self._over = False

    # -- Stream -----------------------------------------------------------------------------------------------

    def attach(self, receiver: StreamReceiver) -> None:
        self._receiver = receiver
        self._paused = False
        early, self._early = self._early, []
        for data in early:
            receiver.stream_data(data)
        if self._early_end:
            receiver.stream_ended()
        if self._over:
            self._receiver = None
            receiver.stream_closed()
            return
        if self._stopped:
            receiver.stream_full()
        if not self._paused:
            self._credit()

    def close(self) -> None:
        self.loseConnection()

    def abort(self) -> None:
        self.abortConnection()

    def pause(self) -> None:
        if not self._visitor_full and not self._over:
            self._visitor_full = True
            self._stalls.visitor.begin()
        self.pauseProducing()

    def resume(self) -> None:
        self._visitor_drained()
        self.resumeProducing()

    def _visitor_drained(self) -> None:
        if self._visitor_full:
            self._visitor_full = False
            self._stalls.visitor.end()

    # -- what Conch calls -------------------------------------------------------------------------------------

    def channelOpen(self, specificData: bytes) -> None:
        # Until a receiver is there nothing is consumed.
        self._paused = True
        super().channelOpen(specificData)
        if not self.opened.called:
            self.opened.callback(self)

    def openFailed(self, reason: Exception) -> None:
        if self.opened.called:
            return
        if isinstance(reason, ConchError):
            self.opened.errback(StreamRefused("The client's ssh could not connect to the local server."))
        else:
            self.opened.errback(StreamRefused("The client has left.", Cause.GONE))

    def dataReceived(self, data: bytes) -> None:
        if self._receiver is not None:
            self._receiver.stream_data(data)
        else:
            self._early.append(data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        """No forwarding has a second stream; what comes on it is dropped."""

    def eofReceived(self) -> None:
        if self._receiver is not None:
            self._receiver.stream_ended()
        else:
            self._early_end = True

    def closed(self) -> None:
        self._over = True
        self._visitor_drained()
        self._client_drained()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.stream_closed()

    def stopWriting(self) -> None:
        if not self._client_full and not self._over:
            self._client_full = True
            self._stalls.client.begin()
        if self._receiver is not None:
            self._receiver.stream_full()

    def startWriting(self) -> None:
        self._client_drained()
        if self._receiver is not None:
            self._receiver.stream_drained()

    def _client_drained(self) -> None:
        if self._client_full:
            self._client_full = False
            self._stalls.client.end()


def open_data(bind: str, bind_port: int, visitor: Peer) -> bytes:
    """The specific data of the channel's open: the address asked for, then the visitor's (RFC 4254 7.2)."""
    return (
        NS(bind.encode("utf-8"))
        + struct.pack(">L", bind_port)
        + NS(visitor.host.encode("ascii", "replace"))
        + struct.pack(">L", visitor.port)
    )
