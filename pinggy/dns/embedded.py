"""
An authoritative server for one zone held in memory: dnspython's codec on Twisted's UDP and TCP transports.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorUDP

from pinggy.dns.datagrams import LONGEST_QUESTION, Datagrams
from pinggy.dns.embedded_zone import EmbeddedZone
from pinggy.dns.streams import IDLE, MOST_CONNECTIONS, Streams

_TRIES_FOR_A_COMMON_PORT = 32


class DnsReactor(Protocol):
    """What of a reactor is needed here; it provides IReactorUDP too."""

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> IListeningPort: ...

    def callLater(self, delay: float, callable: Any, *args: object, **kwargs: object) -> IDelayedCall: ...  # noqa: A002


class DnsPortTaken(Exception):
    """The port cannot be bound; the text names *host*, *port* and *transport* and says why."""

    def __init__(self, host: str, port: int, transport: str, error: CannotListenError) -> None:
        why = getattr(error.socketError, "strerror", None) or error.socketError
        super().__init__(f"The DNS server cannot have {transport} port {port} of {host}: {why}.")
        self.host = host
        self.port = port
        self.transport = transport


class EmbeddedDns:
    """
    Serves *zone* at *host* (an IP address), UDP and TCP at the same *port*; 0 picks one that both can have.

    *idle* seconds without a question end a TCP connection; of more than *most_connections* the quietest gives way.
    """

    def __init__(
        self,
        reactor: DnsReactor,
        host: str,
        port: int,
        zone: EmbeddedZone,
        *,
        idle: float = IDLE,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        self.host = host
        self.port = port
        self._reactor = reactor
        self.zone = zone
        self._streams = Streams(reactor, zone.contents, idle, most_connections)
        self._listening: list[IListeningPort] = []
        # Ports that were bound in vain.
        self._closing: list[Deferred[None]] = []

    def listen(self) -> None:
        """Answers from now on; `port` is the one that was bound. Raises `DnsPortTaken`."""
        tries = 1 if self.port else _TRIES_FOR_A_COMMON_PORT
        for left in reversed(range(tries)):
            tcp = self._bind_tcp(self.port)
            port = _number(tcp)
            try:
                udp = IReactorUDP(self._reactor).listenUDP(
                    port, Datagrams(self.zone.contents), self.host, LONGEST_QUESTION
                )
            except CannotListenError as error:
                self._closing.append(_close(tcp))
                if not left:
                    raise DnsPortTaken(self.host, port, "UDP", error) from error
            else:
                self.port = port
                self._listening = [udp, tcp]
                return

    def stop(self) -> Deferred[None]:
        """Fires when both ports are closed and no connection is left."""
        ports, self._listening = self._listening, []
        closing, self._closing = self._closing, []
        closed = gatherResults([*closing, *(_close(each) for each in ports)])
        return closed.addCallback(lambda _: self._streams.close())

    def _bind_tcp(self, port: int) -> IListeningPort:
        try:
            return self._reactor.listenTCP(port, self._streams, interface=self.host)
        except CannotListenError as error:
            raise DnsPortTaken(self.host, port, "TCP", error) from error


def _number(port: IListeningPort) -> int:
    address = port.getHost()
    assert isinstance(address, (IPv4Address, IPv6Address))
    return address.port


def _close(port: IListeningPort) -> Deferred[None]:
    return port.stopListening() or succeed(None)
