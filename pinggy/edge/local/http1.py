"""
One request and its response over an upstream, which speaks HTTP/1.1: bodies both ways at once, as they come; or, after
101, raw bytes.
"""

from __future__ import annotations

from pinggy.edge import answers
from pinggy.edge.exchange import Onward, Visitor
from pinggy.edge.local.upstream import Upstream
from pinggy.http.collector import HeadCollector
from pinggy.http.framing import Body, Delimited, Trailers, body_of, chunk, last_chunk
from pinggy.http.head import RequestHead, ResponseHead, parse_response
from pinggy.http.malformed import Malformed
from pinggy.http.write import request_head

LARGEST_RESPONSE_HEAD = 64 * 1024
# RFC 9110 9.2.2: to ask these twice is to ask once.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


def may_be_repeated(head: RequestHead) -> bool:
    """Whether the request of *head*, sent once, may be sent again as it is."""
    return head.framing == 0 and head.method in _IDEMPOTENT


def _announces_content(head: ResponseHead) -> bool:
    """
    Whether the response *head*, which has no content, says that there would be some: to HEAD, or with 204 and 304. Some
    local servers send it nevertheless, and next comes somebody else's response.
    """
    return any(
        value != "0" if name.lower() == "content-length" else name.lower() == "transfer-encoding"
        for name, value in head.headers
    )


class Http1Exchange:
    """
    Implements `pinggy.edge.exchange.Exchange` over *upstream*, which it has left by its last word to the visitor.

    *is_sent*: the head of *onward* has been sent over it already.
    """

    __slots__ = (
        "_chunked",
        "_heads",
        "_heard",
        "_is_sent",
        "_keep",
        "_onward",
        "_raw",
        "_raw_ended",
        "_response",
        "_until_close",
        "_upstream",
        "_visitor",
        "_visitor_ended",
    )

    def __init__(self, onward: Onward, upstream: Upstream, *, is_sent: bool = False) -> None:
        self._onward = onward
        self._upstream: Upstream | None = upstream
        self._is_sent = is_sent
        self._chunked = onward.head.framing is Delimited.CHUNKED
        self._heads: HeadCollector | None = None
        self._response: Body | None = None
        self._heard = False
        self._keep = False
        self._raw = False
        self._raw_ended = False
        self._until_close = False
        self._visitor_ended = False

    # -- from the visitor ----------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        return self._upstream is not None and self._upstream.full

    def begin(self, visitor: Visitor, content: bytes = b"", *, ended: bool = False) -> None:
        self._visitor = visitor
        self._visitor_ended = ended
        upstream = self._upstream
        assert upstream is not None
        upstream.attach(self)
        if self._upstream is None:
            return  # its end, or its answer, had come before we asked
        onward = self._onward
        upstream.bound = upstream.bound or onward.head.binds
        first = b"" if self._is_sent else request_head(onward.head, onward.headers)
        if content:
            first += chunk(content) if self._chunked else content
        if ended and self._chunked:
            first += last_chunk()
        if first:
            upstream.write(first)

    def send(self, content: bytes) -> None:
        if self._upstream is not None:
            self._upstream.write(chunk(content) if self._chunked and not self._raw else content)

    def end(self, trailers: Trailers = ()) -> None:
        upstream = self._upstream
        if upstream is None:
            return
        if not self._raw:
            self._visitor_ended = True
            if self._chunked:
                upstream.write(last_chunk(trailers))
        elif upstream.ended:
            self._over()
        else:
            self._raw_ended = True
            upstream.end()

    def cancel(self) -> None:
        self._leave(abort=True)

    def leave(self) -> None:
        if self._raw and self._upstream is not None:
            self._upstream.end()
        self._leave(abort=not self._raw)

    def pause(self) -> None:
        if self._upstream is not None:
            self._upstream.pause()

    def resume(self) -> None:
        if self._upstream is not None:
            self._upstream.resume()

    # -- UpstreamUser --------------------------------------------------------------------------------------------

    def server_data(self, data: bytes) -> None:
        self._heard = True
        if self._raw:
            self._visitor.content(data)
        elif self._response is None:
            self._read_heads(data)
        else:
            try:
                content, rest, done = self._response.feed(data)
            except Malformed:
                self._break_off()
                return
            if content:
                self._visitor.content(content)
            if done:
                self._over(clean=not rest)

    def server_ended(self) -> None:
        upstream = self._upstream
        if self._raw:
            if self._raw_ended:
                self._over()
            else:
                self._visitor.server_ended()
        elif self._response is None:
            if upstream is not None and upstream.is_away and not self._heard:
                # The other edge answers whom it lets in.
                self._break_off()
            else:
                self._unanswered()
        elif self._until_close:
            self._over()
        else:
            self._break_off()

    def server_lost(self) -> None:
        if self._raw and self._upstream is not None and self._upstream.ended:
            self._over()
        elif self._response is None and not self._raw:
            self._unanswered()
        else:
            # Had it ended well, `server_ended` would have come first.
            self._break_off()

    def server_full(self) -> None:
        self._visitor.regulate()

    def server_drained(self) -> None:
        self._visitor.regulate()

    # -- the response --------------------------------------------------------------------------------------------

    def _read_heads(self, data: bytes) -> None:
        heads = self._heads
        if heads is None:
            heads = self._heads = HeadCollector(LARGEST_RESPONSE_HEAD)
        try:
            while (found := heads.feed(data)) is not None:
                head, data = parse_response(found[0], self._onward.head.method), found[1]
                if head.status >= 200:
                    self._begin_response(head, data)
                    return
                if head.status == 101:
                    self._switch(head, data)
                    return
                self._visitor.interim(head, self._onward.back(head))
                if not data or self._upstream is None:
                    return
        except Malformed:
            self._leave(abort=True)
            self._visitor.refuse(answers.NONSENSE)

    def _begin_response(self, head: ResponseHead, data: bytes) -> None:
        upstream = self._upstream
        assert upstream is not None
        self._until_close = head.framing is Delimited.UNTIL_CLOSE
        upstream.bound = upstream.bound or head.binds
        self._keep = head.keep_alive and not self._until_close
        if head.framing == 0 and not upstream.bound and _announces_content(head):
            self._keep = False
        response = body_of(head.framing)
        content, rest, done = response.feed(data)
        self._response = response
        farewell = upstream.farewell or upstream.tunnel.has_ended
        self._visitor.respond(head, self._onward.back(head), content, farewell=farewell)
        if done:
            self._over(clean=not rest)

    def _switch(self, head: ResponseHead, data: bytes) -> None:
        if self._onward.head.upgrade is None or not self._visitor_ended:
            raise Malformed("The local server changed a protocol that nobody asked to change.")
        self._raw = True
        self._visitor.switched(head, self._onward.back(head), data)

    # -- how it ends ---------------------------------------------------------------------------------------------

    def _over(self, *, clean: bool = True) -> None:
        """The response is complete; not *clean*: more came than it is long."""
        upstream = self._upstream
        if upstream is None:
            return
        if not self._visitor_ended or upstream.full:
            # The local server has answered without reading it all: the next request would wait behind the rest.
            self._leave(abort=True)
        elif not (self._keep and clean) or upstream.ended or upstream.tunnel.has_ended:
            self._leave(abort=False)
        else:
            self._upstream = None
            upstream.done()
        self._visitor.complete(self._response.trailers if self._response is not None else ())

    def _unanswered(self) -> None:
        upstream = self._upstream
        if upstream is None:
            return
        self._leave(abort=True)
        # A kept stream may have been dead already; a tunnel may have moved while the request was on its way.
        lost = not self._heard and (upstream.served > 0 or upstream.is_away or upstream.tunnel.has_ended)
        if lost and may_be_repeated(self._onward.head):
            self._visitor.again()
        elif upstream.tunnel.has_ended:
            self._visitor.refuse(answers.ENDED)
        else:
            self._visitor.refuse(answers.CLOSED)

    def _break_off(self) -> None:
        self._leave(abort=True)
        self._visitor.abort()

    def _leave(self, *, abort: bool) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is None:
            return
        upstream.user = None
        if abort:
            upstream.abort()
        else:
            upstream.close()
