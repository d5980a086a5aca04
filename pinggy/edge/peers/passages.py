"""
Which protocol serves a visitor who came by another edge: the one that serves any visitor, with the one tunnel that he
came for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from twisted.internet.interfaces import IProtocol, IReactorTime, ITCPTransport

from pinggy.certificates.store import Certificates
from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Elsewhere, Mode, NothingElsewhere, Passage
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.edge.visitor.arrival import Arrival, ArrivalInTls
from pinggy.edge.visitor.doorway import Doorway
from pinggy.edge.visitor.port import protocols
from pinggy.edge.visitor.secured import Secured
from pinggy.edge.visitor.tcp import TcpVisitor
from pinggy.edge.visitor.tls import TlsDoor, TlsVisitor
from pinggy.http.sniff import Speech


class WebDoor(Protocol):
    """Makes the protocol of one HTTP visitor; see `WebVisitor`."""

    def __call__(
        self,
        elsewhere: Elsewhere,
        peer: Peer,
        secure: bool,
        secured: Secured | None,
        only: str | None = None,
        last_hop: bool = False,
    ) -> IProtocol: ...


class H2Door(Protocol):
    """Makes the protocol of one HTTP/2 visitor."""

    def __call__(self, elsewhere: Elsewhere, peer: Peer, secured: Secured, only: str | None = None) -> IProtocol: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Passages:
    """
    *onward* is for requests of TLS that ends here, whose tunnel moves on while the visitor stays. Without *h2* that is
    not offered.
    """

    tunnels: Tunnels
    domain: str
    certificates: Certificates
    clock: IReactorTime
    web: WebDoor
    onward: Elsewhere
    h2: H2Door | None = None

    def serve(self, passage: Passage, live: LiveForwarding) -> IProtocol:
        match passage.mode:
            case Mode.TCP:
                return TcpVisitor(live, passage.visitor, self.clock)
            case Mode.HTTP:
                return self.web(NothingElsewhere(), passage.visitor, passage.secure, None, passage.name, True)
            case Mode.CONNECTION:
                return _TlsGuest(self._door(passage.name), passage.visitor)

    def _door(self, name: str) -> TlsDoor:
        return TlsDoor(
            tunnels=self.tunnels,
            domain=self.domain,
            certificates=self.certificates,
            clock=self.clock,
            inside=partial(self._inside, name),
            protocols=protocols(self.h2),
            only=name,
        )

    def _inside(self, name: str, peer: Peer, secured: Secured) -> IProtocol:
        def choose(arrival: Arrival, said: Speech) -> IProtocol | None:
            # Clients come to their edge themselves, and TLS within TLS is nobody's.
            return self.web(self.onward, peer, True, secured, name) if said is Speech.HTTP else None

        h2 = None if self.h2 is None else partial(self.h2, self.onward, peer, secured, name)
        return ArrivalInTls(choose, self.clock, h2)


class _TlsGuest(Doorway):
    def __init__(self, door: TlsDoor, peer: Peer) -> None:
        self._door = door
        self._peer = peer

    def connectionMade(self) -> None:
        cast(ITCPTransport, self.transport).setTcpNoDelay(True)
        self.hand_over(TlsVisitor(self._door, self, self._peer))
