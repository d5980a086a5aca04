"""
From the Host of a request to a stream of its tunnel: the name, the policy, the stream.

Here one visitor connection waits: until the policy is in force, and until the client has opened a stream. The stream
is kept for the next request to the same forwarding.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.client import Peer
from pinggy.edge.stream import Stream, StreamRefused
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.edge.visitor import answers
from pinggy.edge.visitor.upstream import Upstream
from pinggy.edge.visitor.verdict import Answer, admit
from pinggy.http.head import RequestHead
from pinggy.http.rewrite import Visit
from pinggy.tunnel.addresses import PublicFace
from pinggy.tunnel.names import label_of_host, normal_host
from pinggy.tunnel.policy import Address, Policy
from pinggy.tunnel.refusals import Refusal
from pinggy.tunnel.request import Kind

_log = Logger()


class Traveller(Protocol):
    """Who asked the way. One of these answers each `Route.ask` and `Route.again`, perhaps at once."""

    def reached(self, head: RequestHead, onward: bytes, upstream: Upstream) -> None:
        """*onward* is the head as the local server shall read it."""
        ...

    def answered(self, answer: Answer) -> None:
        """The way ends here, with this."""
        ...

    def dropped(self) -> None:
        """The way ends here, without a word."""
        ...


class Route:
    """The way of one visitor's requests, one at a time."""

    def __init__(
        self, traveller: Traveller, *, tunnels: Tunnels, face: PublicFace, peer: Peer, address: Address, visit: Visit
    ) -> None:
        self._traveller = traveller
        self._tunnels = tunnels
        self._face = face
        self._peer = peer
        self._address = address
        self._visit = visit
        self._policy: Deferred[Policy] | None = None
        self._last: tuple[RequestHead, bytes, LiveForwarding] | None = None
        self._closed = False
        self.upstream: Upstream | None = None

    def ask(self, head: RequestHead) -> None:
        """Find the way for *head*."""
        label = label_of_host(normal_host(head.host), self._face.domain)
        live = self._tunnels.by_name(label) if label else None
        if live is None:
            self._traveller.answered(Answer(404, answers.NO_TUNNEL))
        elif live.forwarding.kind is not Kind.HTTP:
            self._traveller.answered(Answer(404, answers.NO_WEB_HERE))
        else:
            self._policy = live.tunnel.policy()
            self._policy.addCallbacks(self._in_force, self._never_in_force, callbackArgs=(head, live)).addErrback(
                self._broken
            )

    def again(self) -> None:
        """The kept stream was dead: reach the same forwarding over a fresh one."""
        assert self._last is not None
        self._open(*self._last)

    def close(self) -> None:
        """Nobody will come this way again: what is kept is closed, and so is what comes later."""
        self._closed = True
        policy, self._policy = self._policy, None
        if policy is not None:
            policy.cancel()
        self._let_go()

    def _in_force(self, policy: Policy, head: RequestHead, live: LiveForwarding) -> None:
        self._policy = None
        if not policy.admits(self._address):
            self._traveller.dropped()
            return
        admitted = admit(head, policy, self._visit, live.forwarding.name, self._face)
        upstream = self.upstream
        if isinstance(admitted, Answer):
            self._traveller.answered(admitted)
        elif upstream is not None and upstream.live is live and not upstream.over:
            self._last = (head, admitted, live)
            self._traveller.reached(head, admitted, upstream)
        else:
            self._open(head, admitted, live)

    def _never_in_force(self, failure: Failure) -> None:
        self._policy = None
        if failure.check(CancelledError) is None:
            failure.trap(Refusal)
            self._traveller.answered(Answer(503, answers.ENDED))

    def _open(self, head: RequestHead, onward: bytes, live: LiveForwarding) -> None:
        self._let_go()
        self._last = None
        tunnel = live.tunnel
        if tunnel.tally.open >= tunnel.limits.channels:
            self._traveller.answered(Answer(503, answers.FULL))
            return
        # Not cancelled when the visitor leaves: a stream that comes later must be closed, not lost.
        tunnel.open_stream(live.forwarding, self._peer).addCallbacks(
            self._opened, self._not_opened, callbackArgs=(head, onward, live)
        ).addErrback(self._broken)

    def _opened(self, stream: Stream, head: RequestHead, onward: bytes, live: LiveForwarding) -> None:
        upstream = Upstream(live, stream)
        if self._closed:
            upstream.abort()
            return
        self.upstream = upstream
        self._traveller.reached(head, onward, upstream)

    def _not_opened(self, failure: Failure) -> None:
        failure.trap(StreamRefused)
        assert isinstance(failure.value, StreamRefused)
        if not self._closed:
            gone = failure.value.gone
            self._traveller.answered(Answer(503, answers.ENDED) if gone else Answer(502, answers.DOWN))

    def _broken(self, failure: Failure) -> None:
        _log.failure("a visitor's request broke the edge", failure)
        self._traveller.dropped()

    def _let_go(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None and not upstream.over:
            upstream.close()
