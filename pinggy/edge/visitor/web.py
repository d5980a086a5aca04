"""
One visitor's HTTP connection: its requests in turn, each to the tunnel that it names and under that tunnel's policy.

It reads one head, asks a `Route` for the way, and hands what follows to an `Exchange`; what comes meanwhile and belongs
to the next request waits, and the visitor with it. Nothing is read from him that has nowhere to go.
"""

from __future__ import annotations

from enum import Enum, auto

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from pinggy.edge import answers
from pinggy.edge.client import Peer
from pinggy.edge.deadline import Deadline
from pinggy.edge.exchange import Exchange
from pinggy.edge.tunnels import LiveTunnel
from pinggy.edge.visitor.limits import WebLimits
from pinggy.edge.visitor.reply import Reply
from pinggy.edge.visitor.requests import Requests
from pinggy.edge.visitor.route import Way
from pinggy.edge.visitor.stay import Stay
from pinggy.edge.visitor.wire import Wire
from pinggy.http.answer import Answer
from pinggy.http.framing import Trailers
from pinggy.http.head import RequestHead, ResponseHead
from pinggy.http.malformed import Malformed
from pinggy.http.rewrite import Headers


class _State(Enum):
    READING = auto()  # a head is awaited
    BUSY = auto()  # a request is in work
    CLOSING = auto()  # our last word is said
    GONE = auto()


@implementer(IHalfCloseableProtocol)
class WebVisitor(Protocol):
    """
    Of requests that go by *way*. It is *over_tls* where that ends here: then *server_name*, which the hello named,
    stands in for the Host of an HTTP/1.0 request that has none. For *last_hop* see `Route`.
    """

    def __init__(
        self,
        *,
        way: Way,
        peer: Peer,
        clock: IReactorTime,
        limits: WebLimits,
        over_tls: bool = False,
        server_name: str | None = None,
        last_hop: bool = False,
    ) -> None:
        self._stay = Stay(peer, self._cut)
        self._route = way(self, stay=self._stay)
        self._over_tls = over_tls
        self._last_hop = last_hop
        self._limits = limits
        self._server_name = server_name
        self._state = _State.READING
        self._clock = clock
        self._deadline = Deadline(clock, self._overdue)
        self._requests = Requests(limits)
        self._exchange: Exchange | None = None
        self._raw = False
        self._advancing = False
        self._half_closed = False

    # -- Twisted's side ------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        assert self.transport is not None
        limits = self._limits
        self._wire = Wire(self.transport, self, secure=self._over_tls, clock=self._clock, patience=limits.body_seconds)
        self._reply = Reply(self._wire)
        self._deadline.set(limits.head_seconds)
        self._wire.start()

    def dataReceived(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is not None and (self._raw or self._requests.in_body):
            self._pass_on(exchange, data)
        elif self._state in (_State.READING, _State.BUSY):
            self._requests.waiting += data
        self._advance()

    def readConnectionLost(self) -> None:
        """He sends no more; a request that has come whole is answered still."""
        self._half_closed = True
        if self._exchange is not None:
            self._deadline.set(self._limits.half_closed_seconds)
            self._end_of_visitor(self._exchange)
        elif self._state is _State.CLOSING:
            self._wire.finish(linger=False)
        else:
            self._advance()

    def writeConnectionLost(self) -> None:
        """What we have sent is through, and so is that we send no more."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._state = _State.GONE
        self._requests.waiting = b""
        self._deadline.stop()
        self._wire.lost()
        if self._exchange is not None and reason.check(ConnectionDone) is not None:
            self._exchange.leave()
        self._cancel()
        self._route.close()
        self._stay.leave()

    # -- one request after another -------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Take up the requests that have come, until one is in work or bytes are missing."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._state is _State.READING and not self._wire.full:
                if not (self._requests.waiting or self._half_closed) or not self._read_head():
                    break
        finally:
            self._advancing = False
        self.regulate()

    def _read_head(self) -> bool:
        """Whether a head has come whole, or something that is none."""
        started = self._requests.started
        try:
            head = self._requests.head()
        except Malformed as malformed:
            self._reply.to(None)
            self._say(answers.malformed(malformed))
            return True
        if head is not None:
            self._ask(head)
            return True
        if self._half_closed:
            self._finish(linger=False)
        elif self._requests.started and not started:
            self._deadline.set(self._limits.head_seconds)
        return False

    def _ask(self, head: RequestHead) -> None:
        self._state = _State.BUSY
        self._deadline.set(self._limits.answer_seconds)
        if not head.host and self._server_name is not None:
            head = head._replace(host=self._server_name, headers=(*head.headers, ("Host", self._server_name)))
        self._reply.to(head)
        self._raw = False
        self._route.ask(head)

    # -- what belongs to the request in work ---------------------------------------------------------------------

    def _pass_on(self, exchange: Exchange, data: bytes) -> None:
        """Of what the visitor sent; what is left over belongs to the next request, and nothing has waited before it."""
        requests = self._requests
        if not requests.in_body:
            exchange.send(data)
            return
        try:
            content = requests.content(data)
        except Malformed as malformed:
            self._give_up(answers.malformed(malformed))
            return
        ended = not requests.in_body
        if not self._reply.begun:
            self._deadline.set(self._limits.answer_seconds if ended else self._limits.body_seconds)
        if content:
            exchange.send(content)
        if ended and self._exchange is exchange:
            exchange.end(requests.trailers)

    def _begin(self, exchange: Exchange) -> None:
        requests = self._requests
        content = b""
        if requests.in_body:
            data, requests.waiting = requests.waiting, b""
            try:
                content = requests.content(data)
            except Malformed as malformed:
                self._give_up(answers.malformed(malformed))
                return
            if requests.in_body:
                self._deadline.set(self._limits.body_seconds)
        trailers = requests.trailers
        exchange.begin(self, content, ended=not (requests.in_body or trailers))
        if trailers and self._exchange is exchange:
            exchange.end(trailers)

    def _end_of_visitor(self, exchange: Exchange) -> None:
        if self._raw:
            exchange.end()
        elif self._requests.in_body:
            # The rest of his request will never come; the answers to those before it must not be lost by a reset.
            self._cancel()
            if self._reply.begun:
                self.abort()
            else:
                self._finish(linger=False)

    def _give_up(self, answer: Answer) -> None:
        """What he sends is no request: nothing more of it goes on."""
        self._cancel()
        if self._reply.begun:
            self.abort()
        else:
            self._say(answer)

    def _cancel(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()

    # -- Traveller: where the request may go ---------------------------------------------------------------------

    def reached(self, exchange: Exchange) -> None:
        if self._wire.full:
            exchange.pause()
        self._exchange = exchange
        self._begin(exchange)
        if self._half_closed and self._exchange is exchange:
            self._deadline.set(self._limits.half_closed_seconds)
            self._end_of_visitor(exchange)
        self._advance()

    def answered(self, answer: Answer) -> None:
        self._say(answer)

    def dropped(self) -> None:
        # Where this edge broke, an exchange may have begun.
        self._cancel()
        self.abort()

    def turned_away(self) -> None:
        if self._last_hop:
            # The edge that he came by tells an end from a connection that was cut, and looks no further.
            self._finish(linger=False)
        else:
            self.abort()

    def _cut(self, _: LiveTunnel) -> None:
        """The tunnel that let him in does not any more: nothing goes on from here, either way."""
        waits = self._state is _State.BUSY and not self._reply.begun
        self._cancel()
        if waits:
            self._say(answers.NOT_ALLOWED, last=True)
        else:
            self._route.close()
            self.abort()

    # -- Visitor: what an exchange tells -------------------------------------------------------------------------

    def interim(self, head: ResponseHead, headers: Headers) -> None:
        self._more_comes()
        self._reply.interim(head, headers)

    def respond(self, head: ResponseHead, headers: Headers, content: bytes, *, farewell: bool) -> None:
        self._is_answered()
        # While the request is still on its way, to close asks the visitor to stop (RFC 9112 9.6).
        self._reply.begin(head, headers, content, last=farewell or self._requests.in_body)

    def content(self, data: bytes) -> None:
        self._more_comes()
        self._reply.content(data)

    def complete(self, trailers: Trailers = ()) -> None:
        self._exchange = None
        self._reply.complete(trailers)
        if self._reply.keeps and not self._requests.in_body:
            self._await_head()
        else:
            self._finish(linger=not self._reply.is_last or bool(self._requests.waiting))

    def switched(self, head: ResponseHead, headers: Headers, data: bytes) -> None:
        self._raw = True
        self._is_answered()
        self._reply.switch(head, headers, data)
        self.regulate()
        if self._half_closed and self._exchange is not None:
            self._exchange.end()

    def server_ended(self) -> None:
        self._wire.send_end()

    def refuse(self, answer: Answer) -> None:
        self._exchange = None
        self._say(answer)

    def again(self) -> None:
        self._exchange = None
        self._route.again()

    def abort(self) -> None:
        self._exchange = None
        self._state = _State.CLOSING
        self._wire.abort()

    def regulate(self) -> None:
        exchange = self._exchange
        wanted = exchange is not None and (self._raw or self._requests.in_body)
        if exchange is not None and wanted and self._requests.waiting:
            # The protocol has changed: what came too early for a next request was for this one.
            waiting, self._requests.waiting = self._requests.waiting, b""
            self._pass_on(exchange, waiting)
        if self._half_closed or self._state is _State.GONE:
            return
        if exchange is not None and wanted:
            self._wire.read(not exchange.full)
        else:
            self._wire.read(not self._requests.waiting or self._state is _State.CLOSING)

    def _is_answered(self) -> None:
        """The local server may take its time from here on."""
        if self._half_closed:
            self._more_comes()
        else:
            self._deadline.clear()

    def _more_comes(self) -> None:
        if self._half_closed:
            self._deadline.set(self._limits.half_closed_seconds)

    # -- WireUser: how the visitor reads -------------------------------------------------------------------------

    def wire_full(self) -> None:
        if self._exchange is not None:
            self._exchange.pause()

    def wire_drained(self) -> None:
        if self._exchange is not None:
            self._exchange.resume()
        self._advance()

    def wire_stalled(self) -> None:
        self._cancel()
        self.abort()

    def wire_finishing(self) -> None:
        if self._state is not _State.GONE:
            lingers = self._wire.lingers
            self._deadline.set(self._limits.linger_seconds if lingers else self._limits.closing_seconds)

    # -- our own answers, and the end ----------------------------------------------------------------------------

    def _say(self, answer: Answer, *, last: bool = False) -> None:
        """Answer for the tunnel; or, where no head could be read, whatever that was."""
        self._reply.say(answer, last=last)
        if self._reply.keeps:
            self._await_head()
        else:
            self._finish(linger=True)

    def _await_head(self) -> None:
        self._state = _State.READING
        self._deadline.set(self._limits.idle_seconds)
        self._advance()

    def _finish(self, *, linger: bool) -> None:
        self._state = _State.CLOSING
        self._requests.waiting = b""
        self._deadline.clear()
        self._route.close()
        self.regulate()
        self._wire.finish(linger=linger and not self._half_closed)

    def _overdue(self) -> None:
        match self._state:
            case _State.READING if self._requests.started:
                self._reply.to(None)
                self._say(answers.TOO_SLOW)
            case _State.READING:
                self._finish(linger=False)
            case _State.CLOSING if self._wire.lingers:
                self._finish(linger=False)
            case _State.BUSY if not self._half_closed:
                self._has_waited()
            case _:
                self._cancel()
                self.abort()

    def _has_waited(self) -> None:
        """Somebody has been silent in the middle of a request: the visitor, or the local server."""
        exchange = self._exchange
        if exchange is None:
            # It does not even take the connection.
            self._say(answers.silent(self._limits.answer_seconds), last=True)
        elif not self._requests.in_body:
            self._give_up(answers.silent(self._limits.answer_seconds))
        elif exchange.full:
            # It takes its time with what came already.
            self._deadline.set(self._limits.body_seconds)
        else:
            self._give_up(answers.TOO_SLOW)
