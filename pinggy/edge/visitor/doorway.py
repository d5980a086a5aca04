"""
Where one protocol meets a visitor and another one serves it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import Interface


class Doorway(Protocol):
    """
    Stays between a transport and the protocol that was chosen for it, and passes everything through.

    Because it stays, it knows when the visitor is gone whoever served it (`left` is called once), and it works the same
    above TCP and inside TLS. A subclass reads the first bytes in `arrived`. The chosen protocol may be handed over
    to another one (a reader of the ClientHello, then TLS): the last one counts.
    """

    _chosen: IProtocol | None = None

    def arrived(self, data: bytes) -> None:
        """Bytes that came while nobody was chosen."""

    def left(self) -> None:
        """The connection is lost; the chosen protocol, if any, has been told."""

    def hand_over(self, chosen: IProtocol, data: bytes = b"") -> None:
        """Let *chosen* have the transport, beginning with *data*."""
        self._chosen = chosen
        assert self.transport is not None
        chosen.makeConnection(self.transport)
        if data and self._chosen is chosen:
            chosen.dataReceived(data)

    def dataReceived(self, data: bytes) -> None:
        if self._chosen is not None:
            self._chosen.dataReceived(data)
        else:
            self.arrived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        chosen, self._chosen = self._chosen, None
        try:
            if chosen is not None:
                chosen.connectionLost(reason)
        finally:
            self.left()

    def __conform__(self, interface: type[Interface]) -> Any:
        # Twisted asks IHalfCloseableProtocol(protocol, None) when a FIN comes: the chosen one answers.
        return interface(self._chosen, None) if self._chosen is not None else None
