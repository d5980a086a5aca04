"""
One visitor's HTTP connection: its requests in turn, each to the tunnel that it names and under that tunnel's policy.

It reads one head, asks a `Route` for the way, and hands the bodies to an `Exchange`; what comes meanwhile and belongs
to the next request waits, and the visitor with it. Nothing is read from him that has nowhere to go.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from enum import Enum, auto

from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Elsewhere, NothingElsewhere
from pinggy.edge.tunnels import Tunnels
from pinggy.edge.visitor import answers
from pinggy.edge.visitor.deadline import Deadline
from pinggy.edge.visitor.exchange import Exchange
from pinggy.edge.visitor.route import Route
from pinggy.edge.visitor.upstream import Upstream
from pinggy.edge.visitor.verdict import Answer
from pinggy.edge.visitor.wire import Wire
from pinggy.http.collector import HeadCollector
from pinggy.http.head import RequestHead, parse_request
from pinggy.http.malformed import Malformed
from pinggy.http.rewrite import Visit
from pinggy.tunnel.addresses import PublicFace
from pinggy.tunnel.policy import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLimits:
    """
    What one visitor connection may cost: *head_bytes* and *header_count* of one request, *head_seconds* from the first
    byte of a head to its last, *idle_seconds* between requests. *half_closed_seconds*: one who sends no more gets what
    is on its way, unless nothing comes for so long. After our last word he is listened to for *linger_seconds*, and
    what he has not read by then waits *closing_seconds* more.
    """

    head_bytes: int = 16 * 1024
    header_count: int = 100
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    half_closed_seconds: float = 60.0
    linger_seconds: float = 10.0
    closing_seconds: float = 60.0


class _State(Enum):
    READING = auto()  # a head is awaited
    BUSY = auto()  # a request is in work
    CLOSING = auto()  # our last word is said
    GONE = auto()


@implementer(IHalfCloseableProtocol)
class WebVisitor(Protocol):
    """
    For plain HTTP and for HTTP inside TLS that ended here (*secure*). *server_name* is the host that the TLS hello
    named: it stands in for the Host of an HTTP/1.0 request that has none. For *only* and *last_hop* see `Route`; of
    the last hop, TLS has been ended at another edge.
    """

    def __init__(
        self,
        *,
        tunnels: Tunnels,
        face: PublicFace,
        peer: Peer,
        secure: bool,
        clock: IReactorTime,
        limits: WebLimits,
        elsewhere: Elsewhere | None = None,
        server_name: str | None = None,
        only: str | None = None,
        last_hop: bool = False,
    ) -> None:
        address = _address(peer)
        visit = Visit(address=str(address), secure=secure)
        self._route = Route(
            self,
            tunnels=tunnels,
            face=face,
            peer=peer,
            address=address,
            visit=visit,
            elsewhere=elsewhere or NothingElsewhere(),
            only=only,
            last_hop=last_hop,
        )
        self._over_tls = secure and not last_hop
        self._last_hop = last_hop
        self._limits = limits
        self._server_name = server_name
        self._state = _State.READING
        self._deadline = Deadline(clock, self._overdue)
        self._heads = HeadCollector(limits.head_bytes, empty_line_first=True)
        self._waiting = b""
        self._head: RequestHead | None = None
        self._exchange: Exchange | None = None
        self._advancing = False
        self._half_closed = False

    # -- Twisted's side ------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        assert self.transport is not None
        self._wire = Wire(self.transport, self, secure=self._over_tls)
        self._deadline.set(self._limits.head_seconds)
        self._wire.start()

    def dataReceived(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.wants_visitor:
            # What is left over belongs to the next request; nothing has waited before it.
            self._waiting = exchange.visitor_data(data)
        elif self._state in (_State.READING, _State.BUSY):
            self._waiting += data
        self._advance()

    def readConnectionLost(self) -> None:
        """He sends no more; a request that has come whole is answered still."""
        self._half_closed = True
        if self._exchange is not None:
            self._deadline.set(self._limits.half_closed_seconds)
            self._exchange.visitor_ended()
        elif self._state is _State.CLOSING:
            self._wire.finish(linger=False)
        else:
            self._advance()

    def writeConnectionLost(self) -> None:
        """What we have sent is through, and so is that we send no more."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._state = _State.GONE
        self._waiting = b""
        self._deadline.stop()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.visitor_lost()
        self._route.close()

    # -- one request after another -------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Take up the requests that have come, until one is in work or bytes are missing."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._state is _State.READING and not self._wire.full:
                if not (self._waiting or self._half_closed) or not self._read_head():
                    break
        finally:
            self._advancing = False
        self.regulate()

    def _read_head(self) -> bool:
        """Whether a head has come whole, or something that is none."""
        data, self._waiting = self._waiting, b""
        started = self._heads.started
        try:
            found = self._heads.feed(data)
            if found is not None:
                self._waiting = found[1]
                self._ask(parse_request(found[0], most_headers=self._limits.header_count))
                return True
        except Malformed as malformed:
            self._say(Answer(malformed.status, malformed.sentence), None)
            return True
        if self._half_closed:
            self._finish(linger=False)
        elif self._heads.started and not started:
            self._deadline.set(self._limits.head_seconds)
        return False

    def _ask(self, head: RequestHead) -> None:
        self._state = _State.BUSY
        self._deadline.clear()
        if not head.host and self._server_name is not None:
            head = replace(head, host=self._server_name, headers=(*head.headers, ("Host", self._server_name)))
        self._head = head
        self._route.ask(head)

    # -- Traveller: where the request may go ---------------------------------------------------------------------

    def reached(self, head: RequestHead, onward: bytes, upstream: Upstream) -> None:
        if self._wire.full:
            upstream.pause()
        exchange = self._exchange = Exchange(self, head, onward)
        waiting, self._waiting = self._waiting, b""
        self._waiting = exchange.begin(upstream, waiting) + self._waiting
        if self._half_closed and self._exchange is exchange:
            self._deadline.set(self._limits.half_closed_seconds)
            exchange.visitor_ended()
        self._advance()

    def answered(self, answer: Answer) -> None:
        self._say(answer, self._head)

    def dropped(self) -> None:
        self.abort()

    def turned_away(self) -> None:
        if self._last_hop:
            # The edge that he came by tells an end from a connection that was cut, and looks no further.
            self._finish(linger=False)
        else:
            self.abort()

    # -- Visitor: what an exchange asks --------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if self._half_closed:
            self._deadline.set(self._limits.half_closed_seconds)
        self._wire.send(data)

    def send_end(self) -> None:
        self._wire.send_end()

    def regulate(self) -> None:
        exchange = self._exchange
        wanted = exchange is not None and exchange.wants_visitor
        if exchange is not None and wanted and self._waiting:
            # The protocol has changed: what came too early for a next request was for this one.
            waiting, self._waiting = self._waiting, b""
            self._waiting = exchange.visitor_data(waiting)
        if self._half_closed or self._state is _State.GONE:
            return
        if exchange is not None and wanted:
            self._wire.read(exchange.takes_visitor)
        else:
            self._wire.read(not self._waiting or self._state is _State.CLOSING)

    def refuse(self, status: int, sentence: str) -> None:
        self._exchange = None
        self._say(Answer(status, sentence), self._head)

    def done(self, keep: bool) -> None:
        self._exchange = None
        if not keep:
            self._finish(linger=True)
            return
        self._await_head()

    def again(self) -> None:
        self._exchange = None
        self._route.again()

    def abort(self) -> None:
        self._exchange = None
        self._state = _State.CLOSING
        self._wire.abort()

    # -- WireUser: how the visitor reads -------------------------------------------------------------------------

    def wire_full(self) -> None:
        if self._route.upstream is not None:
            self._route.upstream.pause()

    def wire_drained(self) -> None:
        if self._route.upstream is not None:
            self._route.upstream.resume()
        self._advance()

    def wire_finishing(self) -> None:
        if self._state is not _State.GONE:
            lingers = self._wire.lingers
            self._deadline.set(self._limits.linger_seconds if lingers else self._limits.closing_seconds)

    # -- our own answers, and the end ----------------------------------------------------------------------------

    def _say(self, what: Answer, head: RequestHead | None) -> None:
        """Answer for the tunnel, to *head*, or to what could not be read as one (None)."""
        keep = head is not None and head.keep_alive and head.framing == 0 and what.status != 400
        self._wire.send(
            answers.answer(
                what.status,
                what.sentence,
                headers=what.headers,
                bodiless=head is not None and head.method == "HEAD",
                connection="keep-alive" if keep else "close",
            )
        )
        if keep:
            self._await_head()
        else:
            self._finish(linger=True)

    def _await_head(self) -> None:
        self._state = _State.READING
        self._deadline.set(self._limits.idle_seconds)
        self._advance()

    def _finish(self, *, linger: bool) -> None:
        self._state = _State.CLOSING
        self._waiting = b""
        self._deadline.clear()
        self._route.close()
        self.regulate()
        self._wire.finish(linger=linger and not self._half_closed)

    def _overdue(self) -> None:
        if self._state is _State.READING and self._heads.started:
            self._say(Answer(408, answers.TOO_SLOW), None)
        elif self._state is _State.READING or (self._state is _State.CLOSING and self._wire.lingers):
            self._finish(linger=False)
        else:
            exchange, self._exchange = self._exchange, None
            if exchange is not None:
                exchange.visitor_lost()
            self.abort()


def _address(peer: Peer) -> Address:
    address = ipaddress.ip_address(peer.host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
