"""
The seam between visitors and local servers: an exchange is one request and its response, whatever either side speaks.

Heads are values, and content is content: how a body is framed on the wire (chunks, DATA frames) is the business of each
side alone. Both sides pause each other by plain calls, as with a `pinggy.edge.stream`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pinggy.http.answer import Answer
from pinggy.http.framing import Trailers
from pinggy.http.head import RequestHead, ResponseHead
from pinggy.http.rewrite import Headers, response_for_visitor, response_from_peer
from pinggy.tunnel.policy import Policy


@dataclass(slots=True)
class Onward:
    """
    A request as it goes on: *head* as it came, the *headers* as the local server reads them. *policy* rules the
    response too, under the service's *domain*; None where another edge has the tunnel, which sees to it.
    """

    head: RequestHead
    headers: Headers
    policy: Policy | None
    domain: str

    def back(self, head: ResponseHead) -> Headers:
        """The headers of a response to it as the visitor reads them."""
        if self.policy is None:
            return response_from_peer(head)
        return response_for_visitor(head, self.policy, self.domain)


class Visitor(Protocol):
    """
    What an exchange tells the connection that its request came by. `complete`, `refuse`, `again` and `abort` are its
    last word: one of them comes, once, unless the exchange was cancelled.
    """

    def interim(self, head: ResponseHead, headers: Headers) -> None:
        """A 1xx that changes nothing (RFC 9110 15.2)."""
        ...

    def respond(self, head: ResponseHead, headers: Headers, content: bytes, *, farewell: bool) -> None:
        """
        The response begins, with this *content*; ``head.framing`` says how long it will be. *farewell*: the visitor
        should ask for nothing else over this connection.
        """
        ...

    def content(self, data: bytes) -> None:
        """More of it; after `switched`: bytes of the other protocol."""
        ...

    def complete(self, trailers: Trailers = ()) -> None:
        """The response has ended, or the other protocol has, both ways."""
        ...

    def switched(self, head: ResponseHead, headers: Headers, data: bytes) -> None:
        """101: both sides speak another protocol from here on, *data* first (RFC 9110 7.8)."""
        ...

    def server_ended(self) -> None:
        """After `switched`: the local server sends no more, but may still read."""
        ...

    def refuse(self, answer: Answer) -> None:
        """There is no response, and nothing of one was said: answer this."""
        ...

    def again(self) -> None:
        """The stream was dead, and the request may be sent twice: find another way for it."""
        ...

    def abort(self) -> None:
        """It broke off in the middle: let the visitor see it."""
        ...

    def regulate(self) -> None:
        """`Exchange.full` may have changed."""
        ...


class Exchange(Protocol):
    """One request on its way to a local server. All methods are harmless after it is over."""

    @property
    def full(self) -> bool:
        """Whether no more content is taken for now."""
        ...

    def begin(self, visitor: Visitor, content: bytes = b"", *, ended: bool = False) -> None:
        """
        Send the head and the first *content*; *ended*: there is no more, and no trailers. *visitor* may be told
        everything within the call.
        """
        ...

    def send(self, content: bytes) -> None:
        """More content; after `Visitor.switched`: bytes of the other protocol."""
        ...

    def end(self, trailers: Trailers = ()) -> None:
        """The request has ended; after `Visitor.switched`: the visitor sends no more, but may still read."""
        ...

    def cancel(self) -> None:
        """The visitor is gone, or what he sends is no request any more."""
        ...

    def leave(self) -> None:
        """He has left in good order: bytes of another protocol that he sent before still go on."""
        ...

    def pause(self) -> None:
        """The visitor takes no more for now."""
        ...

    def resume(self) -> None:
        """He takes again."""
        ...
