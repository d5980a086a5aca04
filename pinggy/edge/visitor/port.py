"""
The public port: the first bytes decide whether a connection is SSH, TLS or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReactorTime, ITCPTransport
from twisted.internet.protocol import ServerFactory

from pinggy.certificates import Certificates
from pinggy.edge.client import Peer
from pinggy.edge.deadline import Deadline
from pinggy.edge.elsewhere import Elsewhere, NothingElsewhere
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.tunnels import Tunnels
from pinggy.edge.visitor.doorway import Doorway
from pinggy.edge.visitor.entrance import Entrance, met
from pinggy.edge.visitor.tls import TlsDoor, TlsVisitor
from pinggy.http.sniff import Speech, sniff
from pinggy.tunnel.policy import Network

# Seconds from the connection to its first word, and again from a ClientHello to the first word inside TLS.
FIRST_WORD = 10.0

WebVisitors = Callable[[Peer, bool, str | None], IProtocol]
"""Makes the protocol of one HTTP visitor: of *peer*, over TLS or not, with the host of its SNI."""


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
        self._deadline = Deadline(clock, self._too_late)

    def connectionMade(self) -> None:
        self._deadline.set(FIRST_WORD)

    def arrived(self, data: bytes) -> None:
        self._first += data
        said = sniff(self._first)
        if said is Speech.UNDECIDED:
            return
        self._deadline.stop()
        first, self._first = self._first, b""
        chosen = None if said is Speech.GARBAGE else self._choose(self, said)
        if chosen is None:
            assert self.transport is not None
            self.transport.loseConnection()
        else:
            self.hand_over(chosen, first)

    def left(self) -> None:
        self._deadline.stop()
        self._left()

    def _too_late(self) -> None:
        cast(ITCPTransport, self.transport).abortConnection()


class PublicPort(ServerFactory):
    """
    The factory of every port that visitors and clients share.

    *ssh* builds the protocol of a client, *web* that of an HTTP visitor; *certificates* are for the TLS that ends here,
    *domain* is the zone's. Tunnels that are not here may be *elsewhere*. A connection over the *connections* of its
    address is closed at once; whose it is, load balancers of the networks *proxies* say before.
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
    ) -> None:
        self._ssh = ssh
        self._web = web
        self._entrance = Entrance(connections, clock, proxies)
        self._clock = clock
        self._tls = TlsDoor(
            tunnels=tunnels,
            domain=domain,
            certificates=certificates,
            clock=clock,
            inside=self._inside,
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
        cast(ITCPTransport, arrival.transport).setTcpNoDelay(True)
        peer = met(peer, arrival.transport)
        match said:
            case Speech.SSH:
                return self._client(peer)
            case Speech.TLS:
                return TlsVisitor(self._tls, arrival, peer)
            case _:
                return self._web(peer, False, None)

    def _inside(self, peer: Peer, server_name: str | None) -> IProtocol:
        return Arrival(partial(self._inside_tls, peer, server_name), self._clock)

    def _inside_tls(self, peer: Peer, server_name: str | None, arrival: Arrival, said: Speech) -> IProtocol | None:
        match said:
            case Speech.SSH:
                return self._client(peer)
            case Speech.TLS:
                return None
            case _:
                return self._web(peer, True, server_name)

    def _client(self, peer: Peer) -> IProtocol | None:
        kind = IPv6Address if ":" in peer.host else IPv4Address
        return self._ssh.buildProtocol(kind("TCP", peer.host, peer.port))
