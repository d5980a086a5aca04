"""
A connection of which nothing is known yet: its first bytes decide who serves it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IHandshakeListener, INegotiated, IProtocol, IReactorTime, ITCPTransport
from zope.interface import implementer

from pinggy.certificates.context import H2
from pinggy.edge.deadline import Deadline
from pinggy.edge.visitor.doorway import Doorway
from pinggy.edge.visitor.tls_transport import TlsTransport
from pinggy.http.sniff import Speech, sniff

# Seconds from the connection to its first word, and again from a ClientHello to the first word inside TLS.
FIRST_WORD = 10.0


class Arrival(Doorway):
    """
    A connection whose first bytes are awaited: *choose* takes what they say and answers with the protocol that goes
    on, or None to close. It is given those bytes first.
    """

    def __init__(
        self,
        choose: Callable[[Arrival, Speech], IProtocol | None],
        clock: IReactorTime,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        self._choose = choose
        self._left = left
        self._first = b""
        self._refused = False
        self._deadline = Deadline(clock, self._too_late)

    def connectionMade(self) -> None:
        self._deadline.set(FIRST_WORD)

    def arrived(self, data: bytes) -> None:
        if self._refused:
            return
        self._first += data
        said = sniff(self._first)
        if said is Speech.UNDECIDED:
            return
        self._deadline.stop()
        first, self._first = self._first, b""
        chosen = None if said is Speech.GARBAGE else self._choose(self, said)
        if chosen is None:
            self._refused = True
            assert self.transport is not None
            self.transport.loseConnection()
        else:
            self.hand_over(chosen, first)

    def left(self) -> None:
        self._deadline.stop()
        self._left()

    def _too_late(self) -> None:
        cast(ITCPTransport, self.transport).abortConnection()


@implementer(IHandshakeListener)
class ArrivalInTls(Arrival):
    """
    The same within TLS that ended here: who chose HTTP/2 by ALPN is *h2*'s from the end of the handshake on, since
    there the server may speak first. Of others the first bytes are awaited: SSH has no ALPN.
    """

    def __init__(
        self,
        choose: Callable[[Arrival, Speech], IProtocol | None],
        clock: IReactorTime,
        h2: Callable[[], IProtocol] | None,
    ) -> None:
        super().__init__(choose, clock)
        self._h2 = h2

    def hand_over(self, chosen: IProtocol, data: bytes = b"") -> None:
        cast(TlsTransport, self.transport).is_served()
        super().hand_over(chosen, data)

    def handshakeCompleted(self) -> None:
        if self._h2 is not None and cast(INegotiated, self.transport).negotiatedProtocol == H2:
            self._deadline.stop()
            self.hand_over(self._h2())
