"""
Who comes: the address that the socket has, or the one that a load balancer in front of this edge says.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import partial
from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime, ITCPTransport
from twisted.logger import Logger

from pinggy.edge.client import Peer
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.timer import Timer
from pinggy.edge.visitor.doorway import Doorway
from pinggy.http.proxyline import EitherReader
from pinggy.http.proxyprotocol import Endpoint, MalformedProxy, ProxyHeader, plain_host
from pinggy.tunnel.networks import Network

# Seconds for the PROXY header of a load balancer, which sends it as soon as it is connected.
HEADER = 5.0
# Connections of load balancers that have not sent it yet. They are not anybody's, so nothing else bounds them.
MOST_AWAITED = 4096
# Seconds between two log lines about load balancers that send none.
SAY_AGAIN = 60.0

Serve = Callable[[Peer, Callable[[], None]], Doorway | None]
"""Makes the protocol of one who comes, None to close; it calls what it is given once, when he has left."""


class Entrance:
    """
    Of the ports of an edge. An address counts into its *connections*. Those of the networks *proxies* are load
    balancers: each of their connections begins with a PROXY header, and belongs to him whom that names. Nobody else's
    bytes are taken for one.
    """

    _log = Logger()

    def __init__(self, connections: ConnectionLimit, clock: IReactorTime, proxies: tuple[Network, ...] = ()) -> None:
        self._connections = connections
        self._clock = clock
        self._proxies = proxies
        self._awaited = 0
        self._said = -SAY_AGAIN

    def come(self, addr: IAddress | None, serve: Serve) -> Doorway | None:
        """The protocol of a connection from *addr*, which *serve* makes now or when it is known whose it is."""
        assert isinstance(addr, IPv4Address | IPv6Address)
        peer = Peer(addr.host, addr.port)
        if not self._proxies or not self._is_proxy(addr.host):
            return self.enter(peer, serve)
        if self._awaited >= MOST_AWAITED:
            self.misled(peer, f"{MOST_AWAITED} others have not sent their PROXY headers yet.")
            return None
        self._awaited += 1
        return _Proxied(self, peer, serve, self._clock)

    def enter(self, peer: Peer, serve: Serve) -> Doorway | None:
        """None where his address has as many connections as it may have, or *serve* makes nothing."""
        if not self._connections.enter(peer.host):
            return None
        protocol = serve(peer, partial(self._connections.leave, peer.host))
        if protocol is None:
            self._connections.leave(peer.host)
        return protocol

    def waits_no_more(self) -> None:
        """It is known of one connection more whose it is; or that it is nobody's."""
        self._awaited -= 1

    def misled(self, proxy: Peer, why: str) -> None:
        """A load balancer does not say for whom it comes."""
        now = self._clock.seconds()
        if now - self._said >= SAY_AGAIN:
            self._said = now
            self._log.warn(
                "a connection from {proxy}, which the setting listen.proxies names, was closed: {why}",
                proxy=proxy.host,
                why=why,
            )

    def _is_proxy(self, host: str) -> bool:
        address = ipaddress.ip_address(plain_host(host))
        return any(address in network for network in self._proxies)


def met(peer: Peer, transport: object) -> Peer:
    """*peer* with the address that he has come to: that of our socket, unless a load balancer has said another."""
    if peer.came_to is not None:
        return peer
    ours = cast(ITCPTransport, transport).getHost()
    return Peer(peer.host, peer.port, Endpoint(ours.host, ours.port))


class _Proxied(Doorway):
    """One connection of the load balancer *proxy*: it is read until it is known whose it is, then he is served."""

    def __init__(self, entrance: Entrance, proxy: Peer, serve: Serve, clock: IReactorTime) -> None:
        self._entrance = entrance
        self._proxy = proxy
        self._serve = serve
        self._reader = EitherReader()
        self._bound = Timer(clock, self._too_late)
        self._waits = True
        self._refused = False

    def connectionMade(self) -> None:
        self._bound.start(HEADER)

    def arrived(self, data: bytes) -> None:
        if self._refused:
            return
        try:
            header = self._reader.feed(data)
            if header is None:
                return
            peer = self._whose(header)
        except MalformedProxy as malformed:
            self._entrance.misled(self._proxy, str(malformed))
            self._close()
            return
        self._decided()
        protocol = self._entrance.enter(peer, self._serve)
        if protocol is None:
            self._close()
        else:
            self.hand_over(protocol, self._reader.rest)

    def left(self) -> None:
        self._decided()

    def _whose(self, header: ProxyHeader) -> Peer:
        if header.source is None:
            # The load balancer asks for itself: whether we are there.
            return self._proxy
        if header.datagram:
            raise MalformedProxy("The PROXY header is that of a datagram.")
        return Peer(plain_host(header.source.host), header.source.port, header.destination)

    def _decided(self) -> None:
        self._bound.stop()
        if self._waits:
            self._waits = False
            self._entrance.waits_no_more()

    def _too_late(self) -> None:
        self._entrance.misled(self._proxy, f"It has sent no PROXY header within {HEADER:g} seconds.")
        self._close()

    def _close(self) -> None:
        self._refused = True
        self._decided()
        cast(ITCPTransport, self.transport).abortConnection()
