"""
One request of a visitor and its response, as one stream of his connection.

What he sends is credited when the exchange has taken it: where the client takes no more, the stream's window stays
closed, and only that. What is sent to him waits here as far as his windows are closed, and the local server is not read
meanwhile.
"""

from __future__ import annotations

from collections import deque
from http import HTTPStatus

from h2.errors import ErrorCodes

from pinggy.edge import answers
from pinggy.edge.deadline import Deadline
from pinggy.edge.exchange import Exchange
from pinggy.edge.tunnels import LiveTunnel
from pinggy.edge.visitor.h2.own import own_response
from pinggy.edge.visitor.h2.patience import Patience
from pinggy.edge.visitor.h2.seam import Connection
from pinggy.http.answer import Answer
from pinggy.http.framing import Trailers
from pinggy.http.grpc import is_call
from pinggy.http.h2heads import Fields, response_fields, trailer_fields
from pinggy.http.head import RequestHead, ResponseHead
from pinggy.http.rewrite import Headers

# Interim responses of one request that are said to a visitor who does not read.
_MOST_UNREAD = 8


class RequestStream:
    """
    Stream *number* of *connection*, from its request's head until both ways are over. A request whose content has come
    whole *has_ended*.
    """

    __slots__ = (
        "_answered",
        "_complete",
        "_connection",
        "_deadline",
        "_due",
        "_early",
        "_ended",
        "_exchange",
        "_head",
        "_held",
        "_is_call",
        "_left",
        "_lingers",
        "_over",
        "_patience",
        "_paused",
        "_pending",
        "_rejected",
        "_route",
        "_said_end",
        "_trailers",
        "_unread",
        "number",
    )

    def __init__(self, connection: Connection, number: int) -> None:
        self.number = number
        self._connection = connection
        self._route = connection.way_for(self)
        self._deadline = Deadline(connection.clock, self._overdue)
        self._exchange: Exchange | None = None
        self._head: RequestHead | None = None
        self._is_call = False
        # Of the request:
        self._early = bytearray()
        self._held = 0
        self._due: int | None = None
        self._ended = False
        self._trailers: Trailers = ()
        # Of the response:
        self._answered = False
        self._complete = False
        self._rejected = False
        self._left: int | None = None
        self._pending: deque[memoryview] = deque()
        self._patience: Patience | None = None
        self._said_end = False
        self._paused = False
        self._unread = 0
        self._lingers = False
        self._over = False

    # -- from the visitor ----------------------------------------------------------------------------------------

    def ask(self, head: RequestHead, *, ended: bool) -> None:
        self._head = head
        self._due = head.framing if isinstance(head.framing, int) else None
        self._ended = ended
        self._deadline.set(self._connection.answer_seconds)
        self._route.ask(head)

    def reject(self, answer: Answer) -> None:
        """What was asked is no request: a stream error behind our *answer* (RFC 9113 8.1.1)."""
        self._rejected = answer.status == HTTPStatus.BAD_REQUEST
        self.refuse(answer)

    def data(self, data: bytes, size: int) -> None:
        """*size* is what *data* takes of the windows, its padding included."""
        self._held += size
        if self._due is not None:
            self._due -= len(data)
        if self._exchange is not None:
            self._allow(self._connection.body_seconds)
            if data:
                self._exchange.send(data)
            if self._exchange is None or not self._exchange.full:
                self._credit()
        elif self._complete or self._answered:
            self._credit()  # nobody wants it any more
        else:
            self._early += data

    def end(self, trailers: Trailers = ()) -> None:
        if self._ended:
            return
        if self._due:
            # By trailers; else the library has seen it. Who waits for the rest would take another request for it.
            self._cancel()
            self._reset(ErrorCodes.PROTOCOL_ERROR)
            return
        self._ended = True
        if self._lingers:
            self._is_over()
            return
        self._trailers = trailers
        self._allow(self._connection.answer_seconds)
        if self._exchange is not None:
            self._exchange.end(trailers)

    def _allow(self, seconds: float) -> None:
        """So long for what comes next. A call of gRPC has times of its own, and may be silent both ways meanwhile."""
        if not self._answered and not self._is_call:
            self._deadline.set(seconds)

    def lost(self) -> None:
        """The visitor takes it back, or is gone."""
        self._cancel()
        self._is_over()

    @property
    def visited(self) -> LiveTunnel | None:
        """The tunnel that has let this request in."""
        return self._route.visited

    def cut(self) -> None:
        """It does not any more, or he takes nothing: nothing goes on from here, either way."""
        self._cancel()
        if self._answered:
            self._reset(ErrorCodes.INTERNAL_ERROR)
        else:
            self._route.close()
            self.refuse(answers.NOT_ALLOWED)

    def _credit(self) -> None:
        held, self._held = self._held, 0
        if held:
            self._connection.credit(self.number, held)

    def _cancel(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()

    # -- Traveller -----------------------------------------------------------------------------------------------

    def reached(self, exchange: Exchange) -> None:
        self._exchange = exchange
        if self._head is not None and is_call(self._head):
            self._is_call = True
            self._deadline.clear()
        early, self._early = bytes(self._early), bytearray()
        exchange.begin(self, early, ended=self._ended and not self._trailers)
        if self._ended and self._trailers and self._exchange is exchange:
            exchange.end(self._trailers)
        if self._connection.is_full():
            self.wire_full()
        self.regulate()

    def answered(self, answer: Answer) -> None:
        self.refuse(answer)

    def dropped(self) -> None:
        # Where this edge broke, an exchange may have begun.
        self._cancel()
        self.abort()

    def turned_away(self) -> None:
        # Without a word, but not at the cost of other tunnels: browsers ask several over one connection.
        self.abort()

    # -- Visitor: what an exchange tells -------------------------------------------------------------------------

    def interim(self, head: ResponseHead, headers: Headers) -> None:
        if self._over:
            return
        if self._connection.is_full():
            if self._unread >= _MOST_UNREAD:
                return
            self._unread += 1
        self._connection.send_headers(self.number, response_fields(head.status, headers), ends=False)
        self._connection.flush()

    def respond(self, head: ResponseHead, headers: Headers, content: bytes, *, farewell: bool) -> None:
        if self._over:
            return
        self._answered = True
        self._deadline.clear()
        if farewell:
            self._connection.farewell()
        self._left = head.framing if isinstance(head.framing, int) else None
        self._begin(response_fields(head.status, headers), ends=self._left == 0)
        if content:
            self._queue(content)
        else:
            self._connection.flush()

    def content(self, data: bytes) -> None:
        if not self._over:
            self._queue(data)

    def complete(self, trailers: Trailers = ()) -> None:
        self._exchange = None
        self._complete = True
        self._trailers = trailers
        self._finish()

    def switched(self, head: ResponseHead, headers: Headers, data: bytes) -> None:
        """HTTP/2 has no 101 (RFC 9113 8.6); none was asked for, so none comes."""
        raise AssertionError

    def server_ended(self) -> None:
        raise AssertionError

    def refuse(self, answer: Answer) -> None:
        self._exchange = None
        if self._over:
            return
        self._answered = self._complete = True
        self._trailers = ()
        self._deadline.clear()
        fields, body = own_response(answer, self._head)
        self._left = None if self._rejected else len(body)
        self._begin(fields, ends=not body)
        if body:
            self._queue(body)
        else:
            self._connection.flush()
        self._finish()

    def again(self) -> None:
        self._exchange = None
        self._route.again()

    def abort(self) -> None:
        self._exchange = None
        self._reset(ErrorCodes.INTERNAL_ERROR)

    def regulate(self) -> None:
        if self._held and (self._exchange is None or not self._exchange.full):
            self._credit()
            self._connection.flush()

    # -- Sender: what waits for the visitor ----------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        return not self._pending

    def next_piece(self, room: int) -> tuple[bytes | memoryview, bool]:
        pending = self._pending
        if not pending or not room:
            return b"", False
        piece = pending.popleft()
        if len(piece) > room:
            pending.appendleft(piece[room:])
            piece = piece[:room]
        if self._left is not None:
            self._left -= len(piece)
            ends = self._left == 0
        else:
            ends = self._complete and not (pending or self._trailers or self._rejected)
        self._said_end = ends
        return piece, ends

    def piece_sent(self) -> None:
        if self._patience is not None and not self._over:
            self._patience.moved(waits=bool(self._pending))
        if self._pending or self._over:
            return
        self._resume()
        self._finish()

    def _queue(self, data: bytes) -> None:
        is_first = not self._pending
        self._pending.append(memoryview(data))
        self._connection.outlet.wants(self)
        self._connection.outlet.send()
        if self._pending:
            self._pause()
            if is_first:
                self._patience = self._patience or Patience(self._connection, self, self.cut)
                self._patience.wait()

    # -- whether the local server is read ------------------------------------------------------------------------

    def wire_full(self) -> None:
        """The visitor does not read."""
        self._pause()

    def wire_drained(self) -> None:
        self._unread = 0
        self._resume()

    def _pause(self) -> None:
        if not self._paused and self._exchange is not None:
            self._paused = True
            self._exchange.pause()

    def _resume(self) -> None:
        if not self._paused or self._pending or self._connection.is_full():
            return
        self._paused = False
        if self._exchange is not None:
            self._exchange.resume()

    # -- how it ends ---------------------------------------------------------------------------------------------

    def _begin(self, fields: Fields, *, ends: bool) -> None:
        self._said_end = ends
        self._connection.send_headers(self.number, fields, ends=ends)

    def _finish(self) -> None:
        """Once all of the response has been sent: say so."""
        if not self._complete or self._pending or self._over or self._lingers:
            return
        if self._rejected:
            self._reset(ErrorCodes.PROTOCOL_ERROR)
            return
        is_quiet = self._said_end and self._ended and not self._held
        if not self._said_end:
            self._said_end = True
            if self._trailers:
                self._connection.send_headers(self.number, trailer_fields(self._trailers), ends=True)
            else:
                self._connection.end_stream(self.number)
        if self._ended:
            self._is_over()
        else:
            # He may be told that the rest of his request is not wanted (RFC 9113 8.1), but curl 7 and others lose the
            # response by it: first he is heard out for a while.
            self._lingers = True
            self._deadline.set(self._connection.linger_seconds)
            self._route.close()
            self._credit()
        if not is_quiet:
            self._connection.flush()

    def _reset(self, code: ErrorCodes) -> None:
        if not self._over:
            self._connection.reset(self.number, code)
            self._is_over()
            self._connection.flush()

    def _is_over(self) -> None:
        if self._over:
            return
        self._over = True
        self._pending.clear()
        self._deadline.stop()
        if self._patience is not None:
            self._patience.stop()
        self._route.close()
        self._connection.outlet.forget(self)
        self._credit()
        self._connection.over(self.number)

    def _overdue(self) -> None:
        """Somebody has been silent in the middle of the request: the visitor, or the local server."""
        if self._lingers:
            self._reset(ErrorCodes.NO_ERROR)
            return
        exchange = self._exchange
        if exchange is not None and not self._ended:
            if exchange.full:
                self._deadline.set(self._connection.body_seconds)
                return
            answer = answers.TOO_SLOW
        else:
            answer = answers.silent(self._connection.answer_seconds)
        self._cancel()
        self._route.close()
        self.refuse(answer)
