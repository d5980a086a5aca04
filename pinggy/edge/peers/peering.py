"""
All of an edge that deals with other edges, put together: whoever has this passes visitors on, and takes them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort

from pinggy.edge.core_client import CoreClient
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.metrics import EdgeMetrics
from pinggy.edge.peers.arrivals import Arrivals, Serve
from pinggy.edge.peers.identity import Identity
from pinggy.edge.peers.links import Links
from pinggy.edge.peers.places import Places
from pinggy.edge.peers.reach import Reach
from pinggy.edge.tunnels import Tunnels
from pinggy.settings import SettingsError
from pinggy.sockets import Socket


class Peering:
    """Of the edge *edge*. *elsewhere* is the way out, *places* is what is known of it."""

    def __init__(
        self,
        *,
        reactor: Any,
        core: CoreClient,
        instance: str,
        edge: str,
        domain: str,
        tunnels: Tunnels,
        metrics: EdgeMetrics,
    ) -> None:
        self._reactor = reactor
        self._domain = domain
        self._tunnels = tunnels
        self._metrics = metrics
        self._identity = Identity(core=core, clock=reactor, instance=instance)
        self._links = Links(reactor=reactor, identity=self._identity)
        self._arrivals: Arrivals | None = None
        self._port: IListeningPort | None = None
        self.places = Places(core=core, clock=reactor)
        self.elsewhere = Reach(
            edge=edge,
            domain=domain,
            places=self.places,
            links=self._links,
            tunnels=tunnels,
            clock=reactor,
            metrics=metrics,
        )

    def start(self, socket: Socket, connections: ConnectionLimit, serve: Serve) -> Deferred[None]:
        """
        Take visitors at *socket*, as *serve* does. Fires when there is a certificate, or will be later. Raises
        `SettingsError` where nothing can listen.
        """
        self._arrivals = Arrivals(
            identity=self._identity,
            domain=self._domain,
            tunnels=self._tunnels,
            connections=connections,
            serve=serve,
            clock=self._reactor,
            metrics=self._metrics,
        )
        try:
            self._port = self._reactor.listenTCP(socket.port, self._arrivals, 1024, socket.host)
        except CannotListenError as error:
            raise SettingsError(
                f"The setting relay.listen names {socket.host}:{socket.port}, where nothing can listen: "
                f"{error.socketError}."
            ) from error
        return self._identity.start()

    @property
    def port(self) -> int:
        """The TCP port that it listens on; after `start`."""
        assert self._port is not None
        address: Any = self._port.getHost()
        return int(address.port)

    @property
    def visits(self) -> int:
        """The connections of other edges that are open, with a visitor or without."""
        return 0 if self._arrivals is None else self._arrivals.count

    async def stop_listening(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)

    def stop(self) -> None:
        """Cut whatever is open."""
        self._identity.stop()
        self._links.close()
        if self._arrivals is not None:
            self._arrivals.close()
