"""
``-L4300:localhost:4300``: a direct-tcpip channel (RFC 4254 7.2) to the tunnel's own web debugger.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from twisted.conch.ssh.common import getNS
from twisted.internet.interfaces import IConsumer, IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.server import Site
from zope.interface import implementer

from pinggy.edge.client_tunnel import ClientTunnel
from pinggy.edge.debugger import debugger_root
from pinggy.edge.ssh.channel import FlowChannel
from pinggy.edge.ssh.silence import SILENT

DEBUGGER = frozenset({("localhost", 4300), ("127.0.0.1", 4300), ("::1", 4300)})


def parse_target(data: bytes) -> tuple[str, int]:
    """Host and port that a direct-tcpip asks for."""
    host, rest = getNS(data)
    (port,) = struct.unpack_from(">L", rest)
    return host.decode("utf-8", "replace").lower(), port


@implementer(IConsumer)
class DirectChannel(FlowChannel):
    """The transport of one HTTP connection to the debugger."""

    _log = SILENT
    name = b"direct-tcpip"

    def __init__(
        self, tunnel: ClientTunnel, clock: IReactorTime, when_closed: Callable[[DirectChannel], None], **window: int
    ) -> None:
        super().__init__(localWindow=64 * 1024, **window)
        self._when_closed = when_closed
        self._producer: IPushProducer | None = None
        site = Site(debugger_root(tunnel), timeout=60, reactor=clock)
        self._http = site.buildProtocol(None)

    def channelOpen(self, specificData: bytes) -> None:
        super().channelOpen(specificData)
        self._http.makeConnection(self)

    def dataReceived(self, data: bytes) -> None:
        self._http.dataReceived(data)

    def eofReceived(self) -> None:
        self.loseConnection()

    def closed(self) -> None:
        self._http.connectionLost(Failure(connectionDone.value))
        self._when_closed(self)

    @property
    def disconnecting(self) -> bool:
        """What twisted.web asks of a transport."""
        return bool(self.closing)

    # -- IConsumer ----------------------------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def stopWriting(self) -> None:
        # No more requests are taken while their answers are not: twisted.web answers at once whatever it is given.
        self.pauseProducing()
        if self._producer is not None:
            self._producer.pauseProducing()

    def startWriting(self) -> None:
        self.resumeProducing()
        if self._producer is not None:
            self._producer.resumeProducing()
