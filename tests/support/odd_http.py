"""
An HTTP server on loopback that answers each request with whatever bytes a test wants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.settings import Secret

CUT, SILENCE = b"cut", b"silence"


def response(status: int, body: bytes, *headers: bytes) -> bytes:
    head = b"HTTP/1.1 %d Because\r\nContent-Length: %d\r\n" % (status, len(body))
    return head + b"".join(each + b"\r\n" for each in headers) + b"\r\n" + body


class OddHttp:
    """*answer* makes the bytes for each request (head and body); `CUT` ends the connection, `SILENCE` says nothing."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections: set[Protocol] = set()
        factory = Factory.forProtocol(lambda: _Connection(self))
        factory.noisy = False
        listening: Any = reactor
        self._port = listening.listenTCP(0, factory, interface="127.0.0.1")
        self._gone: Deferred[None] | None = None

    def server(self, dns: str, *, gate: bool = False) -> PowerDnsServer:
        url = f"http://127.0.0.1:{self._port.getHost().port}"
        return PowerDnsServer(url=url, dns=dns, key=Secret("the-key-of-the-odd"), gate=gate)

    async def stop(self) -> None:
        await self._port.stopListening()
        if self.connections:
            self._gone = Deferred()
            for each in list(self.connections):
                each.transport.abortConnection()  # type: ignore[union-attr]
            await self._gone

    def lost(self, connection: Protocol) -> None:
        self.connections.discard(connection)
        if not self.connections and self._gone is not None:
            self._gone.callback(None)


class _Connection(Protocol):
    transport: Any

    def __init__(self, server: OddHttp) -> None:
        self._server = server
        self._heard = b""

    def connectionMade(self) -> None:
        self._server.connections.add(self)

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        head, found, body = self._heard.partition(b"\r\n\r\n")
        length = next(
            (int(each[15:]) for each in head.split(b"\r\n") if each.lower().startswith(b"content-length:")), 0
        )
        if not found or len(body) < length:
            return
        request, self._heard = self._heard, b""
        self._server.requests.append(request)
        said = self._server.answer(request)
        if said == SILENCE:
            return
        if said != CUT:
            self.transport.write(said.removesuffix(CUT))
        if said.endswith(CUT):
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self._server.lost(self)
