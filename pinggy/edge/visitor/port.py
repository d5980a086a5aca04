"""
The public port: the first bytes decide whether a connection is SSH, TLS or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import ServerFactory

from pinggy.certificates.context import H2, HTTP_1_1
from pinggy.certificates.store import Certificates
from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Elsewhere, NothingElsewhere
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.tunnels import Tunnels
from pinggy.edge.visitor.arrival import Arrival, ArrivalInTls
from pinggy.edge.visitor.doorway import Doorway
from pinggy.edge.visitor.entrance import Entrance, met
from pinggy.edge.visitor.secured import Secured
from pinggy.edge.visitor.tls import TlsDoor, TlsVisitor
from pinggy.http.sniff import Speech
from pinggy.tunnel.networks import Network

WebVisitors = Callable[[Peer, bool, Secured | None], IProtocol]
"""Makes the protocol of one HTTP visitor: over TLS or not, and if so, with what he was told."""

H2Visitors = Callable[[Peer, Secured], IProtocol]
"""Makes the protocol of one HTTP/2 visitor, who is always within TLS."""


def protocols(h2: object | None) -> tuple[bytes, ...]:
    """What is offered within TLS (ALPN), the most wanted first: HTTP/2 where there is somebody for it."""
    return (HTTP_1_1,) if h2 is None else (H2, HTTP_1_1)


class PublicPort(ServerFactory):
    """
    The factory of every port that visitors and clients share.

    *ssh* builds the protocol of a client, *web* that of an HTTP visitor, *h2* that of one who chose HTTP/2 (None: it is
    not offered); *certificates* are for the TLS that ends here, *domain* is the zone's. Tunnels that are not here may
    be *elsewhere*. A connection over the *connections* of its address is closed at once; whose it is, load balancers of
    the networks *proxies* say before.
    """

    noisy = False

    def __init__(
        self,
        *,
        ssh: IProtocolFactory,
        web: WebVisitors,
        tunnels: Tunnels,
        domain: str,
        certificates: Certificates,
        connections: ConnectionLimit,
        clock: IReactorTime,
        elsewhere: Elsewhere | None = None,
        proxies: tuple[Network, ...] = (),
        h2: H2Visitors | None = None,
    ) -> None:
        self._ssh = ssh
        self._web = web
        self._h2 = h2
        self._entrance = Entrance(connections, clock, proxies)
        self._clock = clock
        self._tls = TlsDoor(
            tunnels=tunnels,
            domain=domain,
            certificates=certificates,
            clock=clock,
            inside=self._inside,
            protocols=protocols(h2),
            elsewhere=elsewhere or NothingElsewhere(),
        )

    def doStart(self) -> None:
        self._ssh.doStart()
        super().doStart()

    def doStop(self) -> None:
        self._ssh.doStop()
        super().doStop()

    def buildProtocol(self, addr: IAddress | None) -> Doorway | None:
        return self._entrance.come(addr, self._arrival)

    def _arrival(self, peer: Peer, left: Callable[[], None]) -> Arrival:
        return Arrival(partial(self._outside, peer), self._clock, left)

    def _outside(self, peer: Peer, arrival: Arrival, said: Speech) -> IProtocol | None:
        peer = met(peer, arrival.transport)
        match said:
            case Speech.SSH:
                return self._client(peer)
            case Speech.TLS:
                return TlsVisitor(self._tls, arrival, peer)
            case _:
                return self._web(peer, False, None)

    def _inside(self, peer: Peer, secured: Secured) -> IProtocol:
        h2 = None if self._h2 is None else partial(self._h2, peer, secured)
        return ArrivalInTls(partial(self._inside_tls, peer, secured), self._clock, h2)

    def _inside_tls(self, peer: Peer, secured: Secured, arrival: Arrival, said: Speech) -> IProtocol | None:
        match said:
            case Speech.SSH:
                return self._client(peer)
            case Speech.TLS:
                return None
            case _:
                return self._web(peer, True, secured)

    def _client(self, peer: Peer) -> IProtocol | None:
        kind = IPv6Address if ":" in peer.host else IPv4Address
        return self._ssh.buildProtocol(kind("TCP", peer.host, peer.port))
