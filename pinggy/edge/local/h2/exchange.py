"""
One request and its response, as one stream of a connection to a local server that speaks HTTP/2.

What the visitor sends waits here as far as the server's windows are closed, and he is not read meanwhile. A request
that the server has not looked at is sent again over another connection, as long as what was sent of it is little.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from h2.errors import ErrorCodes
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pinggy.edge import answers
from pinggy.edge.exchange import Onward, Visitor
from pinggy.edge.local.h2.connection import H2Upstream
from pinggy.edge.local.http1 import may_be_repeated
from pinggy.edge.stream import StreamRefused
from pinggy.http.answer import Answer
from pinggy.http.framing import Trailers
from pinggy.http.h2heads import Fields, request_fields, response_head, trailer_fields, trailers
from pinggy.http.malformed import Malformed

# Bytes of content that are kept until the response begins, to be sent again.
MOST_KEPT = 32 * 1024
# How often one request is sent, where servers send it away.
MOST_TRIES = 3


class H2Exchange:
    """
    Implements `pinggy.edge.exchange.Exchange` over *upstream*; *another* is for a connection when that one does not
    take the request.
    """

    __slots__ = (
        "_another",
        "_ended",
        "_kept",
        "_kept_bytes",
        "_left",
        "_onward",
        "_over",
        "_paused",
        "_pending",
        "_responded",
        "_response_trailers",
        "_said_end",
        "_trailers",
        "_tries",
        "_uncredited",
        "_upstream",
        "_visitor",
        "_was_full",
        "number",
    )

    def __init__(self, onward: Onward, upstream: H2Upstream, another: Callable[[], Deferred[H2Upstream]]) -> None:
        self.number = 0
        self._onward = onward
        self._upstream: H2Upstream | None = upstream
        self._another = another
        self._over = False
        # Of the request:
        self._tries = 0
        self._pending: deque[memoryview] = deque()
        self._kept: list[memoryview] | None = []
        self._kept_bytes = 0
        self._was_full = False
        self._ended = False
        self._said_end = False
        self._trailers: Trailers = ()
        # Of the response:
        self._responded = False
        self._left: int | None = None
        self._response_trailers: Trailers = ()
        self._paused = False
        self._uncredited = 0

    # -- Exchange ------------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        return not self._over and (bool(self._pending) or self._upstream is None)

    def begin(self, visitor: Visitor, content: bytes = b"", *, ended: bool = False) -> None:
        self._visitor = visitor
        self._ended = ended
        if content:
            self._pending.append(memoryview(content))
        upstream = self._upstream
        assert upstream is not None
        self._ask(upstream)

    def send(self, content: bytes) -> None:
        if self._over or not content:
            return
        self._pending.append(memoryview(content))
        self._send()

    def end(self, trailers: Trailers = ()) -> None:
        if self._over or self._ended:
            return
        self._ended = True
        self._trailers = trailers
        self._end_request()

    def cancel(self) -> None:
        self._leave(ErrorCodes.CANCEL)

    def leave(self) -> None:
        self.cancel()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._credit()

    # -- the request ---------------------------------------------------------------------------------------------

    def _ask(self, upstream: H2Upstream) -> None:
        self._tries += 1
        self._upstream = upstream
        if upstream.over:
            self.server_lost(upstream.why)
            return
        onward = self._onward
        ends = self._said_end = self._ended and not self._pending and not self._trailers
        fields = request_fields(onward.head, onward.headers, scheme=upstream.scheme)
        self.number = upstream.open(self, fields, ends=ends)
        if self._pending:
            self._send()
        else:
            self._end_request()
            upstream.flush()

    def _send(self) -> None:
        upstream = self._upstream
        if upstream is not None:
            upstream.outlet.wants(self)
            upstream.outlet.send()
        self._was_full = self.full

    def _end_request(self) -> None:
        upstream = self._upstream
        if upstream is None or not self._ended or self._pending or self._said_end:
            return
        self._said_end = True
        if self._trailers:
            upstream.send_headers(self.number, trailer_fields(self._trailers))
        else:
            upstream.end_stream(self.number)
        upstream.flush()

    # -- Sender: what waits for the server -----------------------------------------------------------------------

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
        self._keep(piece)
        self._said_end = self._ended and not pending and not self._trailers
        return piece, self._said_end

    def piece_sent(self) -> None:
        if self._pending or self._over:
            return
        self._end_request()
        if self._was_full:
            self._was_full = False
            self._visitor.regulate()

    def _keep(self, piece: memoryview) -> None:
        if self._kept is None:
            return
        self._kept_bytes += len(piece)
        if self._kept_bytes > MOST_KEPT or self._responded:
            self._kept = None
        else:
            self._kept.append(piece)

    # -- Call: what the server says ------------------------------------------------------------------------------

    def server_interim(self, fields: Fields) -> None:
        try:
            head = response_head(fields, method=self._onward.head.method, ended=False)
        except Malformed:
            self._break_off(answers.NONSENSE)
            return
        self._visitor.interim(head, self._onward.back(head))

    def server_responded(self, fields: Fields, *, ended: bool) -> None:
        upstream = self._upstream
        assert upstream is not None
        try:
            head = response_head(fields, method=self._onward.head.method, ended=ended)
        except Malformed:
            self._break_off(answers.NONSENSE)
            return
        self._responded = True
        self._kept = None
        self._left = head.framing if isinstance(head.framing, int) else None
        self._visitor.respond(head, self._onward.back(head), b"", farewell=upstream.tunnel.has_ended)

    def server_data(self, data: bytes, size: int) -> None:
        self._uncredited += size
        if data:
            if self._left is not None:
                self._left -= len(data)
                if self._left < 0:
                    self._break_off(answers.NONSENSE)
                    return
            self._visitor.content(data)
        if not self._paused:
            self._credit()

    def server_trailers(self, fields: Fields) -> None:
        try:
            self._response_trailers = trailers(fields)
        except Malformed:
            self._break_off(answers.NONSENSE)

    def server_ended(self) -> None:
        if self._left:
            self._break_off(answers.NONSENSE)
            return
        # RFC 9113 8.1: of the request, the rest is not wanted.
        self._leave(None if self._said_end else ErrorCodes.NO_ERROR)
        self._visitor.complete(self._response_trailers)

    def server_reset(self, code: int) -> None:
        self._lost(answers.RESET)

    def server_refused(self) -> None:
        if self._responded or self._kept is None or self._tries >= MOST_TRIES:
            self._lost(answers.NOT_TAKEN)
        else:
            self._move()

    def server_lost(self, why: Answer) -> None:
        upstream = self._upstream
        if upstream is not None and upstream.tunnel.has_ended:
            if self._is_repeatable and not self._responded:
                self._over = True
                self._visitor.again()
            else:
                self._lost(answers.ENDED)
        elif upstream is not None and upstream.served and self._is_repeatable and not self._responded:
            # The connection may have been dead before we asked.
            self._move()
        else:
            self._lost(why)

    @property
    def _is_repeatable(self) -> bool:
        """Whether it may be sent again though it may have been looked at."""
        return may_be_repeated(self._onward.head) and self._tries < MOST_TRIES

    # -- over another connection ---------------------------------------------------------------------------------

    def _move(self) -> None:
        self._upstream = None
        self._pending.extendleft(reversed(self._kept or ()))
        self._kept, self._kept_bytes = [], 0
        self._said_end = False
        self._was_full = True
        self._another().addCallbacks(self._moved, self._not_moved)

    def _moved(self, upstream: H2Upstream) -> None:
        if self._over:
            return
        self._ask(upstream)
        if not self._pending and not self._over:
            self._visitor.regulate()

    def _not_moved(self, failure: Failure) -> None:
        failure.trap(StreamRefused)
        assert isinstance(failure.value, StreamRefused)
        if not self._over:
            self._lost(answers.refused(failure.value.cause))

    # -- the end -------------------------------------------------------------------------------------------------

    def _credit(self) -> None:
        size, self._uncredited = self._uncredited, 0
        if self._upstream is not None and size:
            self._upstream.credit(self.number, size)
            self._upstream.flush()

    def _break_off(self, why: Answer) -> None:
        self._leave(ErrorCodes.PROTOCOL_ERROR)
        self._say(why)

    def _lost(self, why: Answer) -> None:
        self._leave(None)
        self._say(why)

    def _say(self, why: Answer) -> None:
        if self._responded:
            self._visitor.abort()
        else:
            self._visitor.refuse(why)

    def _leave(self, code: ErrorCodes | None) -> None:
        self._over = True
        self._pending.clear()
        self._kept = None
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.leave(self, code)
            upstream.credit(self.number, self._uncredited)
            upstream.flush()
        self._uncredited = 0
