"""
The SSH transport (RFC 4253) as strangers meet it: what cannot be read ends the connection with a sentence, never a
traceback; a login that takes too long ends; any packet counts as life.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.conch.ssh.transport import DISCONNECT_BY_APPLICATION, DISCONNECT_PROTOCOL_ERROR
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.client import Peer
from pinggy.edge.ssh.connection import OrderedConnection
from pinggy.edge.ssh.logins import Logins
from pinggy.edge.ssh.sealed import SealedTransport
from pinggy.edge.ssh.silence import SILENT

log = Logger()

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux
_READ_AT_ONCE = 256 * 1024  # bytes; and as many unsent ones before the channels are held
_MOST_UNREAD = 4096  # packets that wait for a client which reads nothing
_FAREWELL = 10.0  # seconds for a client to read why it is disconnected


class Transport(SealedTransport):
    """
    One client's connection. Set before it connects: *clock*, *logins*, *login_seconds*, *on_lost*. Until its turn has
    come it is not read.

    *heard* is the clock's time of the last bytes from the client.
    """

    _log = SILENT
    ourVersionString = b"SSH-2.0-pinggy"
    supportedKeyExchanges = [
        name for name in SealedTransport.supportedKeyExchanges if b"sha1" not in name and b"group1-" not in name
    ]

    peer: Peer
    clock: IReactorTime
    logins: Logins
    login_seconds: float
    on_lost: Callable[[], None]
    heard = 0.0
    _login_bound: IDelayedCall | None = None
    _farewell: IDelayedCall | None = None
    _unread = 0
    _begun = False
    _early = b""

    def connectionMade(self) -> None:
        self.logins.enter(self._begin)
        if not self._begun:
            transport: Any = self.transport
            transport.pauseProducing()

    def _begin(self) -> None:
        waited = self._early
        self._begun, self._early = True, b""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
            # Several visitors' bytes come mixed: of more that is read at once, more goes to each at once.
            cast(Any, self.transport).bufferSize = _READ_AT_ONCE
        self.heard = self.clock.seconds()
        self._login_bound = self.clock.callLater(self.login_seconds, self._login_took_too_long)
        super().connectionMade()
        if waited:
            transport: Any = self.transport
            transport.resumeProducing()
            self.dataReceived(waited)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.is_over = True
        self.logins.leave(self._begin)
        if not self._begun:
            self.on_lost()
            return
        self.logged_in()
        if self._farewell is not None and self._farewell.active():
            self._farewell.cancel()
        if hasattr(self, "avatar"):
            # Conch tells the channels first; but their visitors shall read that the tunnel has ended.
            self.logoutFunction()
        super().connectionLost(reason)
        self.on_lost()

    def logged_in(self) -> None:
        """The bound on the login no longer holds."""
        bound, self._login_bound = self._login_bound, None
        if bound is not None:
            bound.cancel()

    def acknowledge(self) -> None:
        """
        Let TCP acknowledge at once what has come. Until its terminal stands, OpenSSH sends the next ``-R`` only when
        the one before is acknowledged (Nagle), which Linux puts off by 40 ms: what belongs together would come apart.
        """
        handle = getattr(self.transport, "getHandle", lambda: None)()
        if _QUICKACK is not None and isinstance(handle, socket.socket):
            handle.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def dataReceived(self, data: bytes) -> None:
        if self.is_over:
            return
        if not self._begun:
            # What the port has read to tell who it is; no more is read.
            self._early += data
            return
        self.heard = self.clock.seconds()
        try:
            super().dataReceived(data)
        except Exception as error:
            # A stranger's bytes may break Conch's reading anywhere, in any way; the connection ends, and only it.
            self.unreadable(error)

    def unreadable(self, error: Exception) -> None:
        """What the client sent broke the reading of it."""
        log.info("{peer} sent a packet that cannot be read ({error!r})", peer=self.peer, error=error)
        self.disconnect("A packet could not be read.", DISCONNECT_PROTOCOL_ERROR)

    def sendKexInit(self) -> None:
        super().sendKexInit()
        if isinstance(self.service, OrderedConnection):
            self.service.keysChange(True)

    def _newKeys(self) -> None:
        super()._newKeys()
        if isinstance(self.service, OrderedConnection):
            self.service.keysChange(False)

    def sendParts(self, messageType: int, parts: Sequence[bytes | memoryview]) -> None:
        super().sendParts(messageType, parts)
        if not isinstance(self.service, OrderedConnection) or not self.service.full:
            self._unread = 0
            return
        # Channels write nothing now: these are answers to a client that asks and does not read.
        self._unread += 1
        if self._unread > _MOST_UNREAD:
            self.hang_up()

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        """Once: what comes after it is not read any more."""
        if self.is_over:
            return
        self._farewell = self.clock.callLater(_FAREWELL, self.hang_up)
        super().sendDisconnect(reason, desc)

    def disconnect(self, text: str, code: int = DISCONNECT_BY_APPLICATION) -> None:
        """Tell the client *text* and close (RFC 4253 11.1)."""
        self.sendDisconnect(code, text.encode("utf-8"))

    def hang_up(self) -> None:
        """Close at once, without a word: nobody reads it."""
        self.is_over = True
        transport: Any = self.transport
        transport.abortConnection()

    def _login_took_too_long(self) -> None:
        self._login_bound = None
        self.disconnect(f"No login within {self.login_seconds:g} seconds.")
