"""
Links to other edges, a few of them ready before they are wanted: a visitor waits for no handshake.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from pinggy.edge.peers.greeting import Verdict
from pinggy.edge.peers.identity import Identity
from pinggy.edge.peers.link import Link, LinkLost
from pinggy.edge.timer import Timer
from pinggy.wire.places import Place

log = Logger()

SPARE = 4  # links that are made ready to each edge that was wanted of late
MOST_SPARE = 16  # and so many at the most are kept, of those whose visitors are through
KEPT = 60.0  # seconds for which they are, from the last visitor on
MOST_PEERS = 256  # edges that links are kept to
MOST_MAKING = 32  # connections to one edge under way for visitors; others wait for them, or for a link that is free
CONNECT = 2.0  # seconds until a connection with its handshake is given up


class _Peer:
    """The links to one edge that are ready, and how many are under way."""

    def __init__(self, key: tuple[str, str, int]) -> None:
        self.key = key
        self.ready: deque[Link] = deque()
        self.making: set[Deferred[Any]] = set()
        self.gate = DeferredSemaphore(MOST_MAKING)
        self.forget: Timer | None = None


class Links:
    def __init__(self, *, reactor: Any, identity: Identity) -> None:
        self._reactor = reactor
        self._identity = identity
        self._peers: dict[tuple[str, str, int], _Peer] = {}
        self._stopped = False

    async def ask(self, place: Place, greeting: bytes, first: bytes) -> tuple[Link, Verdict]:
        """
        The link, and what the edge at *place* has answered. Raises `LinkLost`; one that was ready and turns out to be
        dead is not the last word.
        """
        peer = self._peer(place)
        while True:
            self._fill(peer)
            link, is_fresh = await self._any(peer)
            try:
                return link, await link.ask(greeting, first)
            except LinkLost:
                if is_fresh:
                    raise

    async def _any(self, peer: _Peer) -> tuple[Link, bool]:
        """One that is ready, or made for this."""
        if peer.ready:
            return peer.ready.popleft(), False
        await peer.gate.acquire()
        try:
            if peer.ready:
                return peer.ready.popleft(), False
            return await self._connect(peer.key), True
        finally:
            peer.gate.release()

    def close(self) -> None:
        """Cut what is ready and what is under way; those that visitors have go on."""
        self._stopped = True
        for peer in list(self._peers.values()):
            self._forget(peer)

    def _peer(self, place: Place) -> _Peer:
        key = (place.edge, place.host, place.port)
        peer = self._peers.pop(key, None)
        if peer is None:
            peer = _Peer(key)
            peer.forget = Timer(self._reactor, partial(self._forget, peer))
        # In the order of their last use.
        self._peers[key] = peer
        if len(self._peers) > MOST_PEERS:
            self._forget(next(iter(self._peers.values())))
        assert peer.forget is not None
        peer.forget.start(KEPT)
        return peer

    def _fill(self, peer: _Peer) -> None:
        for _ in range(SPARE - len(peer.ready) - len(peer.making)):
            if self._stopped:
                return
            making = self._connect(peer.key)
            peer.making.add(making)
            making.addBoth(self._made, peer, making)

    def _made(self, result: Any, peer: _Peer, making: Deferred[Any]) -> None:
        peer.making.discard(making)
        if isinstance(result, Failure):
            # Whoever wants one meets the same, and is told.
            result.trap(LinkLost, CancelledError)
        elif self._peers.get(peer.key) is not peer:
            result.abort()
        elif result.is_ready:
            peer.ready.append(result)

    def _forget(self, peer: _Peer) -> None:
        if self._peers.get(peer.key) is peer:
            del self._peers[peer.key]
        assert peer.forget is not None
        peer.forget.stop()
        for making in list(peer.making):
            making.cancel()
        ready, peer.ready = peer.ready, deque()
        for link in ready:
            link.abort()

    def _connect(self, key: tuple[str, str, int]) -> Deferred[Link]:
        edge, host, port = key
        link = Link(edge, self._reactor, partial(self._free, key), partial(self._lost, key))
        attempt = _Attempt(self._reactor, self._identity, link)
        return attempt.to(host, port)

    def _free(self, key: tuple[str, str, int], link: Link) -> None:
        """Its visitor is through: the next one may have it."""
        peer = self._peers.get(key)
        if peer is None or len(peer.ready) >= MOST_SPARE or not self._identity.is_certified:
            link.abort()
        else:
            peer.ready.append(link)

    def _lost(self, key: tuple[str, str, int], link: Link) -> None:
        peer = self._peers.get(key)
        if peer is not None and link in peer.ready:
            peer.ready.remove(link)


class _Attempt(ClientFactory):
    """One connection, until its handshake is done, has failed, or has taken too long."""

    noisy = False

    def __init__(self, reactor: Any, identity: Identity, link: Link) -> None:
        self._reactor = reactor
        self._link = link
        self._identity = identity
        self._done: Deferred[Link] = Deferred(lambda _: self._stop())
        self._connector: Any = None

    def to(self, host: str, port: int) -> Deferred[Link]:
        if not self._identity.is_certified:
            self._done.errback(LinkLost())
            return self._done
        self._link.ready().addBoth(self._finish)
        bound = self._reactor.callLater(CONNECT, self._stop)

        def over(result: Any) -> Any:
            if bound.active():
                bound.cancel()
            return result

        self._done.addBoth(over)
        factory = TLSMemoryBIOFactory(self._identity, True, self, self._reactor)
        self._connector = self._reactor.connectTCP(host, port, factory, timeout=CONNECT)
        return self._done

    def buildProtocol(self, addr: IAddress | None) -> Link:
        return self._link

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        if not self._link.ready().called:
            self._link.ready().errback(LinkLost())

    def _finish(self, result: Any) -> None:
        if isinstance(result, Failure):
            result.trap(LinkLost, CancelledError, ConnectError)
            result = Failure(LinkLost())
        if not self._done.called:
            self._done.callback(result)
        elif not isinstance(result, Failure):
            result.abort()

    def _stop(self) -> None:
        self._connector.disconnect()
        if self._link.connected:
            self._link.abort()
