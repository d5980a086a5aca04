"""
The response to a visitor's request as HTTP/1.1 writes it: how it is framed for him, and whether another request may
follow over the same connection.
"""

from __future__ import annotations

from pinggy.edge.visitor.wire import Wire
from pinggy.http.accept import Medium, medium_for
from pinggy.http.answer import Answer
from pinggy.http.framing import Delimited, Trailers, chunk, last_chunk
from pinggy.http.head import RequestHead, ResponseHead
from pinggy.http.pages import response_of
from pinggy.http.rewrite import Headers
from pinggy.http.write import response_head, said_to_be_empty


class Reply:
    """
    One response after another over *wire*. *begun*: the visitor has been told its status. *keeps*: when it is complete,
    he may ask for something else.
    """

    __slots__ = ("_chunks", "_head", "_wire", "begun", "keeps")

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._head: RequestHead | None = None
        self._chunks = False
        self.begun = False
        self.keeps = False

    @property
    def is_last(self) -> bool:
        """Whether the visitor has said that he asks no more, in a request without a body: as browsers and tools do."""
        head = self._head
        return head is not None and not head.keep_alive and head.framing == 0

    def to(self, head: RequestHead | None) -> None:
        """What is written from now on answers this; None: what could not be read as a request."""
        self._head = head
        self.begun = False

    def interim(self, head: ResponseHead, headers: Headers) -> None:
        # RFC 9110 15.2: not to a client that knows of none.
        if self._head is not None and self._head.version != "1.0":
            self._wire.send(response_head(head, headers, chunked=False, connection=None))

    def begin(self, head: ResponseHead, headers: Headers, content: bytes, *, last: bool) -> None:
        """*last*: nothing else is answered over this connection."""
        request = self._head
        assert request is not None
        self.begun = True
        old = request.version == "1.0"
        chunked = head.framing is Delimited.CHUNKED
        self._chunks = chunked and not old
        self.keeps = (
            request.keep_alive and head.framing is not Delimited.UNTIL_CLOSE and not (chunked and old) and not last
        )
        connection = ("keep-alive" if old else None) if self.keeps else "close"
        if head.version == "2" and head.framing == 0:
            headers = said_to_be_empty(head, headers, request.method)
        data = response_head(head, headers, chunked=self._chunks, connection=connection)
        if content:
            data += chunk(content) if self._chunks else content
        self._wire.send(data)

    def content(self, data: bytes) -> None:
        self._wire.send(chunk(data) if self._chunks else data)

    def complete(self, trailers: Trailers) -> None:
        if self._chunks:
            self._wire.send(last_chunk(trailers))

    def switch(self, head: ResponseHead, headers: Headers, data: bytes) -> None:
        """101: what comes from here on, *data* first, is another protocol's."""
        self.begun = True
        self.keeps = self._chunks = False
        self._wire.send(response_head(head, headers, chunked=False, connection=None) + data)

    def say(self, answer: Answer, *, last: bool) -> None:
        """The edge's own *answer*."""
        head = self._head
        self.keeps = not last and head is not None and head.keep_alive and head.framing == 0 and answer.status != 400
        self._wire.send(
            response_of(
                answer,
                Medium.LINE if head is None else medium_for(head.headers),
                bodiless=head is not None and head.method == "HEAD",
                connection="keep-alive" if self.keeps else "close",
            )
        )
