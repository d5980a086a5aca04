"""
One question to one server, over UDP, until it is answered or lost too often.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Protocol

import dns.exception
import dns.message
from dns.message import Message
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port

from pinggy.dns.zone import ZoneError

Server = tuple[str, int]
_LARGEST_RESPONSE = 4096


class Clock(Protocol):
    """What of a reactor is needed here; it provides IReactorUDP too."""

    def callLater(self, delay: float, callable: Any, *args: object, **kwargs: object) -> IDelayedCall: ...  # noqa: A002


class NoAnswer(ZoneError):
    """The server was asked as often as it is worth, and said nothing."""


def ask(reactor: Clock, server: Server, query: Message, timeout: float, tries: int) -> Deferred[Message]:
    """
    The response of *server* (IP address and port) to *query*, sent up to *tries* times, each awaited for *timeout*
    seconds. Fails with `ZoneError`, a sentence that names the server; `NoAnswer` where it is silent. Cancelling leaves
    nothing behind.
    """
    return _Question(reactor, server, query, timeout, tries).ask()


def server_name(server: Server) -> str:
    """``127.0.0.1:53`` or ``[::1]:53``."""
    host, port = server
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _QuietPort(Port):
    """Twisted logs the end of every UDP port: that would be a line a question."""

    def _logConnectionLostMsg(self) -> None:
        pass


class _Question(DatagramProtocol):
    """
    Has a port of its own: what an outsider must guess is the port and the query's id (RFC 5452). The socket is not
    connected: the epoll reactor takes a refusal on one that is for its end, and a server that restarts is to be
    given the same tries as a lost datagram.
    """

    noisy = False

    def __init__(self, reactor: Clock, server: Server, query: Message, timeout: float, tries: int) -> None:
        self._reactor = reactor
        self._server = server
        self._address = ip_address(server[0])
        self._query = query
        self._timeout = timeout
        self._tries = tries
        self._port: IListeningPort | None = None
        self._retry: IDelayedCall | None = None
        self._done: Deferred[Message] = Deferred(self._cancelled)

    def ask(self) -> Deferred[Message]:
        interface = "::" if self._address.version == 6 else ""
        try:
            self._port = _QuietPort(0, self, interface, _LARGEST_RESPONSE, self._reactor)
            self._port.startListening()
        except CannotListenError as error:
            self._fail(f"cannot be asked: {error.socketError}")
        else:
            self._send()
        return self._done

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if self._port is None or (ip_address(addr[0]), addr[1]) != (self._address, self._server[1]):
            return
        if datagram[:2] != self._query.id.to_bytes(2, "big"):
            return
        try:
            response = dns.message.from_wire(datagram)
        except Exception:
            # Of what its parsers raise on garbage, the library promises nothing.
            self._fail("answered what is not a DNS message")
            return
        # What has the right id but is about something else is a forgery or of an earlier question: wait on.
        if self._query.is_response(response):
            self._close().addCallback(lambda _: self._say(self._done.callback, response))

    def _cancelled(self, _: Deferred[Message]) -> None:
        self._close()

    def _send(self) -> None:
        self._retry = None
        if not self._tries:
            self._fail("does not answer", NoAnswer)
            return
        self._tries -= 1
        self._retry = self._reactor.callLater(self._timeout, self._send)
        try:
            self.transport.write(self._query.to_wire(), self._server)  # type: ignore[union-attr]
        except OSError as error:
            self._fail(f"cannot be asked: {error}")

    def _fail(self, what: str, kind: type[ZoneError] = ZoneError) -> None:
        error = kind(f"The DNS server {server_name(self._server)} {what}.")
        self._close().addCallback(lambda _: self._say(self._done.errback, error))

    def _say(self, fire: Callable[[Any], None], outcome: Any) -> None:
        # Whoever cancels while the port is being closed has been told already.
        if not self._done.called:
            fire(outcome)

    def _close(self) -> Deferred[None]:
        """Fires when nothing is left of the question."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        port, self._port = self._port, None
        closed = port.stopListening() if port is not None else None
        return closed or succeed(None)
