"""
One request and its response, over one stream: bodies both ways at once, as they come; or, after 101, raw bytes.
"""

from __future__ import annotations

from typing import Protocol

from pinggy.edge.visitor import answers
from pinggy.edge.visitor.upstream import Upstream
from pinggy.http.collector import HeadCollector
from pinggy.http.framing import Body, Delimited, body_of
from pinggy.http.head import RequestHead, ResponseHead, parse_response
from pinggy.http.malformed import Malformed
from pinggy.http.rewrite import response_for_visitor

LARGEST_RESPONSE_HEAD = 64 * 1024
# RFC 9110 9.2.2: to ask these twice is to ask once.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class Visitor(Protocol):
    """What an exchange asks of the connection that the request came by."""

    def send(self, data: bytes) -> None: ...

    def send_end(self) -> None:
        """No more will be sent; more may come."""
        ...

    def regulate(self) -> None:
        """Whether more of the visitor is wanted may have changed."""
        ...

    def refuse(self, status: int, sentence: str) -> None:
        """The exchange is over, before anything of its response was sent."""
        ...

    def done(self, keep: bool) -> None:
        """The exchange is over; *keep*: another request may come."""
        ...

    def again(self) -> None:
        """A kept stream turned out to be dead: give this exchange a fresh one."""
        ...

    def abort(self) -> None:
        """The exchange broke off in the middle: let the visitor see it."""
        ...


def may_be_repeated(head: RequestHead) -> bool:
    """Whether the request of *head*, sent once, may be sent again as it is."""
    return head.framing == 0 and head.method in _IDEMPOTENT


class Exchange:
    """
    *onward* is the head as the local server shall read it, nothing where it has been sent already. An exchange ends by
    exactly one call of `done`, `refuse` or `abort` of its visitor; it has left its stream by then.
    """

    __slots__ = (
        "_head",
        "_heads",
        "_heard",
        "_keep_stream",
        "_keep_visitor",
        "_onward",
        "_raw",
        "_request",
        "_request_done",
        "_response",
        "_until_close",
        "_upstream",
        "_visitor",
        "_visitor_ended",
    )

    def __init__(self, visitor: Visitor, head: RequestHead, onward: bytes) -> None:
        self._visitor = visitor
        self._head = head
        self._onward = onward
        self._request: Body = body_of(head.framing)
        self._request_done = head.framing == 0
        self._heads = HeadCollector(LARGEST_RESPONSE_HEAD)
        self._response: Body | None = None
        self._heard = False
        self._keep_stream = False
        self._keep_visitor = False
        self._until_close = False
        self._raw = False
        self._visitor_ended = False
        self._upstream: Upstream | None = None

    @property
    def wants_visitor(self) -> bool:
        """Whether bytes of the visitor belong to this exchange still."""
        return self._raw or not self._request_done

    @property
    def takes_visitor(self) -> bool:
        """Whether they can go on at the moment."""
        return self._upstream is None or not self._upstream.full

    def begin(self, upstream: Upstream, first: bytes) -> bytes:
        """
        Send the head over *upstream*, and what belongs to the exchange of the *first* bytes after it; the others are
        returned. A kept stream has been attached before, a fresh one is now.
        """
        self._upstream = upstream
        upstream.user = self
        if not upstream.served:
            upstream.attach()
        onward, rest = self._onward, first
        if not self._request_done and first:
            try:
                body, rest, self._request_done = self._request.feed(first)
            except Malformed as malformed:
                self._leave(abort=True)
                self._visitor.refuse(malformed.status, malformed.sentence)
                return b""
            onward += body
        if self._upstream is not None and onward:
            self._upstream.write(onward)
        return rest

    # -- from the visitor ----------------------------------------------------------------------------------------

    def visitor_data(self, data: bytes) -> bytes:
        """Pass on what belongs to the exchange; the rest is returned."""
        upstream = self._upstream
        if upstream is None:
            return data
        if self._raw:
            upstream.write(data)
            return b""
        try:
            body, rest, self._request_done = self._request.feed(data)
        except Malformed as malformed:
            self._leave(abort=True)
            if self._response is None:
                self._visitor.refuse(malformed.status, malformed.sentence)
            else:
                self._visitor.abort()
            return b""
        if body:
            upstream.write(body)
        return rest

    def visitor_ended(self) -> None:
        """The visitor sends no more, but may still read."""
        self._visitor_ended = True
        if self._raw and self._upstream is not None:
            if self._upstream.ended:
                self._over()
            else:
                self._upstream.end()
        elif not self._request_done:
            self._break_off()

    def visitor_lost(self) -> None:
        """The visitor is gone, both ways."""
        self._leave(abort=True)

    # -- from the local server -----------------------------------------------------------------------------------

    def server_data(self, data: bytes) -> None:
        self._heard = True
        if self._raw:
            self._visitor.send(data)
        elif self._response is None:
            self._read_heads(data)
        else:
            try:
                body, rest, done = self._response.feed(data)
            except Malformed:
                self._break_off()
                return
            if body:
                self._visitor.send(body)
            if done:
                self._over(clean=not rest)

    def server_ended(self) -> None:
        if self._raw:
            if self._visitor_ended:
                self._over()
            else:
                self._visitor.send_end()
        elif self._response is None:
            if self._upstream is not None and self._upstream.is_away and not self._heard:
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
        interim = b""
        try:
            while (found := self._heads.feed(data)) is not None:
                head, data = parse_response(found[0], self._head.method), found[1]
                if head.status >= 200:
                    self._begin_response(head, interim, data)
                    return
                if head.status == 101:
                    self._begin_raw(head, interim, data)
                    return
                if self._head.version != "1.0":
                    # RFC 9110 15.2: not to a client that knows of none.
                    interim += response_for_visitor(head, chunked=False, connection=None)
                if not data:
                    break
        except Malformed:
            self._leave(abort=True)
            self._visitor.refuse(502, answers.NONSENSE)
            return
        if interim:
            self._visitor.send(interim)

    def _begin_response(self, head: ResponseHead, interim: bytes, data: bytes) -> None:
        framing = head.framing
        chunked = framing is Delimited.CHUNKED
        old = self._head.version == "1.0"
        self._until_close = framing is Delimited.UNTIL_CLOSE
        self._keep_stream = head.keep_alive and not self._until_close
        # While the request is still on its way this asks the visitor to stop (RFC 9112 9.6).
        self._keep_visitor = (
            self._head.keep_alive
            and self._request_done
            and not self._until_close
            and not (chunked and old)
            and not self._tunnel_ended
            and not (self._upstream is not None and self._upstream.farewell)
        )
        response = body_of(framing, unwrap=old)
        body, rest, done = response.feed(data)
        connection = ("keep-alive" if old else None) if self._keep_visitor else "close"
        onward = response_for_visitor(head, chunked=chunked and not old, connection=connection)
        self._response = response
        self._visitor.send(interim + onward + body)
        if done:
            self._over(clean=not rest)

    def _begin_raw(self, head: ResponseHead, interim: bytes, data: bytes) -> None:
        if self._head.upgrade is None or not self._request_done:
            raise Malformed("The local server changed a protocol that nobody asked to change.")
        self._raw = True
        self._visitor.send(interim + response_for_visitor(head, chunked=False, connection=None) + data)
        self._visitor.regulate()
        if self._visitor_ended and self._upstream is not None:
            self._upstream.end()

    # -- how it ends ---------------------------------------------------------------------------------------------

    def _over(self, *, clean: bool = True) -> None:
        """The response is complete; not *clean*: more came than it is long."""
        upstream = self._upstream
        if upstream is None:
            return
        upstream.user = None
        upstream.served += 1
        if not self._request_done:
            self._leave(abort=True)
        elif not (self._keep_stream and clean) or upstream.ended or self._tunnel_ended:
            self._leave(abort=False)
        self._upstream = None
        self._visitor.done(self._keep_visitor and self._request_done)

    def _unanswered(self) -> None:
        upstream = self._upstream
        if upstream is None:
            return
        self._leave(abort=True)
        # A kept stream may have been dead already; a tunnel may have moved while the request was on its way.
        lost = not self._heard and (upstream.served > 0 or upstream.is_away or upstream.tunnel.has_ended)
        if lost and may_be_repeated(self._head):
            self._visitor.again()
        elif upstream.tunnel.has_ended:
            self._visitor.refuse(503, answers.ENDED)
        else:
            self._visitor.refuse(502, answers.SILENT)

    @property
    def _tunnel_ended(self) -> bool:
        """It may have while this exchange goes on: then no other request is asked for over this connection."""
        return self._upstream is not None and self._upstream.tunnel.has_ended

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
