"""
From the Host of a request to a stream of its tunnel: the name, the policy, the stream; or to another edge that has it.

Here one visitor's request waits: until the policy is in force, until the client has opened a stream, and while a name
changes hands.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge import answers
from pinggy.edge.elsewhere import Away, Elsewhere, Here, Mode, NotReached, Nowhere, Passage, Passed
from pinggy.edge.exchange import Exchange, Onward
from pinggy.edge.limited import limited
from pinggy.edge.local.h2.connect import connect
from pinggy.edge.local.h2.connection import H2Upstream
from pinggy.edge.local.h2.exchange import H2Exchange
from pinggy.edge.local.http1 import Http1Exchange, may_be_repeated
from pinggy.edge.local.leg import open_leg
from pinggy.edge.local.upstream import Upstream
from pinggy.edge.stream import Stream, StreamRefused
from pinggy.edge.tunnels import LiveForwarding, LiveTunnel, Tunnels
from pinggy.edge.visitor.secured import Secured
from pinggy.edge.visitor.stay import Stay
from pinggy.edge.visitor.verdict import admit
from pinggy.http.answer import Answer
from pinggy.http.head import RequestHead
from pinggy.http.rewrite import Visit, request_for_peer
from pinggy.http.write import request_head
from pinggy.tunnel.addresses import PublicFace
from pinggy.tunnel.names import label_of_host, normal_host
from pinggy.tunnel.policy import Policy
from pinggy.tunnel.refusals import Refusal
from pinggy.tunnel.request import Kind

_log = Logger()

# How often one request is sent, where a tunnel moves while it is on its way.
_MOST_TRIES = 4
# Seconds that a stream may have waited for a request which may not be sent twice: no local server closes one so soon.
_FRESH = 2.0


class Traveller(Protocol):
    """Who asked the way. One of these answers each `Route.ask` and `Route.again`, perhaps at once."""

    def reached(self, exchange: Exchange) -> None:
        """It has not begun yet."""
        ...

    def answered(self, answer: Answer) -> None:
        """The way ends here, with this."""
        ...

    def dropped(self) -> None:
        """The way ends here, without a word."""
        ...

    def turned_away(self) -> None:
        """So it does for one whom the tunnel does not let in."""
        ...


class Route:
    """
    The way of one visitor's requests, one at a time; *stay* is his connection's. One who has come by another edge may
    go to the tunnel *only*, and to no other; where (*last_hop*) his requests alone have, and not his connection, that
    edge looks for another way itself. One whose TLS ended here, *secured*, may go where that is for.
    """

    def __init__(
        self,
        traveller: Traveller,
        *,
        tunnels: Tunnels,
        face: PublicFace,
        stay: Stay,
        secure: bool,
        elsewhere: Elsewhere,
        clock: IReactorTime,
        only: str | None = None,
        last_hop: bool = False,
        secured: Secured | None = None,
    ) -> None:
        self._traveller = traveller
        self._tunnels = tunnels
        self._elsewhere = elsewhere
        self._only = only
        self._last_hop = last_hop
        self._secured = secured
        self._face = face
        self._stay = stay
        self._visit = Visit(address=stay.text, secure=secure)
        self._clock = clock
        self._visited: LiveTunnel | None = None
        self._own: Upstream | None = None
        self._own_to: LiveForwarding | Away | None = None
        self._own_leg: object = None
        self._waiting: Deferred[Policy] | Deferred[Passed | Here | Nowhere] | None = None
        self._asked: RequestHead | None = None
        self._let_through: RequestHead | None = None
        self._tries = 0
        self._has_ended = False
        self._closed = False

    @property
    def visited(self) -> LiveTunnel | None:
        """The tunnel of this edge that has let in the last request that was let in."""
        return self._visited

    def ask(self, head: RequestHead) -> None:
        """Find the way for *head*."""
        self._asked = head
        self._tries = 0
        self._has_ended = False
        self._find(head)

    def again(self) -> None:
        """The stream was dead: reach the same name over a fresh one."""
        assert self._asked is not None
        if self._visited is not None and self._visited.has_ended:
            self._has_ended = True
        self._let_go()
        self._find(self._asked)

    def close(self) -> None:
        """Nobody will come this way again: what is kept is closed, and so is what comes later."""
        self._closed = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        self._let_go()

    def _find(self, head: RequestHead) -> None:
        self._tries += 1
        host = normal_host(head.host)
        label = label_of_host(host, self._face.domain)
        live = self._tunnels.by_name(label) if label else None
        if not self._is_for(host, label):
            self._traveller.answered(answers.MISDIRECTED)
        elif label is None:
            self._traveller.answered(answers.NO_TUNNEL)
        elif self._tries > _MOST_TRIES:
            self._traveller.answered(answers.MOVING)
        elif live is None:
            self._reach(head, label)
        else:
            self._visit_here(head, live)

    def _is_for(self, host: str, label: str | None) -> bool:
        """Whether the visitor's connection may be used for *host* at all."""
        if self._only is not None and label != self._only:
            return False
        return self._secured is None or self._secured.is_for(host)

    # -- a tunnel of this edge -------------------------------------------------------------------------------------

    def _visit_here(self, head: RequestHead, live: LiveForwarding) -> None:
        if live.forwarding.kind is not Kind.HTTP:
            self._traveller.answered(self._no_web(live.forwarding.kind))
            return
        policy = live.tunnel.policy_in_force
        if policy is not None:
            # Without a Deferred: this is the way of nearly every request.
            try:
                self._in_force(policy, head, live)
            except Exception:
                self._broken(Failure())
            return
        self._waiting = awaited = live.tunnel.policy()
        awaited.addCallbacks(self._in_force, self._never_in_force, (head, live), {}, (head, live)).addErrback(
            self._broken
        )

    def _in_force(self, policy: Policy, head: RequestHead, live: LiveForwarding) -> None:
        self._waiting = None
        if not self._stay.is_admitted(live.tunnel, policy):
            self._traveller.turned_away()
            return
        again = self._let_through is head
        admitted = admit(head, policy, self._visit, live, self._face, self._clock, again=again)
        if isinstance(admitted, Answer):
            self._traveller.answered(admitted)
            return
        self._let_through = head
        self._visited = live.tunnel
        self._stay.count(live.tunnel)
        if policy.h2:
            self._share(admitted, policy, live)
            return
        upstream = self._standing(admitted, live)
        if upstream is not None:
            self._traveller.reached(limited(Http1Exchange(admitted, upstream), admitted))
        else:
            self._open(admitted, live)

    def _standing(self, onward: Onward, live: LiveForwarding) -> Upstream | None:
        """A stream that waits for a request: his own, or anybody's. Not where one has just turned out to be dead."""
        own, policy = self._own, onward.policy
        assert policy is not None
        if own is not None and self._is_own(own) and self._own_to is live and self._own_leg == policy.leg:
            return own
        self._let_go()
        if self._tries > 1 or policy.haproxy is not None:
            return None
        oldest = float("-inf") if may_be_repeated(onward.head) else self._clock.seconds() - _FRESH
        upstream = live.pool.take(policy.local_tls, after=oldest)
        if upstream is not None:
            self._has(upstream, live, policy)
        return upstream

    def _never_in_force(self, failure: Failure, head: RequestHead, live: LiveForwarding) -> None:
        self._waiting = None
        if failure.check(CancelledError) is None:
            failure.trap(Refusal)
            self._has_ended = True
            # It may be in the books of this edge a moment longer.
            self._reach(head, live.forwarding.name, live.forwarding.epoch)

    def _open(self, onward: Onward, live: LiveForwarding) -> None:
        if not live.tunnel.has_room():
            self._traveller.answered(answers.FULL)
            return
        # Not cancelled when the visitor leaves: a stream that comes later must be closed, not lost.
        policy = onward.policy
        assert policy is not None
        open_leg(live, policy, self._stay.peer, clock=self._clock).addCallbacks(
            self._opened, self._not_opened, (onward, policy, live), {}, (onward.head, live)
        ).addErrback(self._broken)

    def _opened(self, stream: Stream, onward: Onward, policy: Policy, live: LiveForwarding) -> None:
        upstream = Upstream(
            live.tunnel,
            stream,
            self._clock,
            release=live.pool.give,
            tls=policy.local_tls,
            bound=policy.haproxy is not None,
        )
        if self._closed:
            upstream.abort()
            return
        self._has(upstream, live, policy)
        self._traveller.reached(limited(Http1Exchange(onward, upstream), onward))

    def _not_opened(self, failure: Failure, head: RequestHead, live: LiveForwarding) -> None:
        failure.trap(StreamRefused)
        assert isinstance(failure.value, StreamRefused)
        if self._closed:
            return
        if failure.value.gone:
            self._has_ended = True
            # It may be in the books of this edge a moment longer.
            self._reach(head, live.forwarding.name, live.forwarding.epoch)
        else:
            self._traveller.answered(answers.refused(failure.value.cause))

    # -- a local server that speaks HTTP/2 -------------------------------------------------------------------------

    def _share(self, onward: Onward, policy: Policy, live: LiveForwarding) -> None:
        self._let_go()
        if onward.head.upgrade is not None:
            self._traveller.answered(answers.NO_UPGRADE)
            return
        # A connection that began by saying who he is has nobody else's requests.
        pool = live.h2 if policy.haproxy is None else self._stay.own_pool(live)
        another = partial(pool.reach, policy.leg, partial(connect, live, policy, self._stay.peer, clock=self._clock))
        another().addCallbacks(self._shared, self._not_opened, (onward, another), {}, (onward.head, live)).addErrback(
            self._broken
        )

    def _shared(self, upstream: H2Upstream, onward: Onward, another: Callable[[], Deferred[H2Upstream]]) -> None:
        if not self._closed:
            self._traveller.reached(limited(H2Exchange(onward, upstream, another), onward))

    # -- a tunnel of another edge ----------------------------------------------------------------------------------

    def _reach(self, head: RequestHead, name: str, beyond: int = 0) -> None:
        self._stay.turn_away()
        onward = Onward(head, request_for_peer(head), None, self._face.domain)
        own = self._own
        # What may not be sent twice is sent when the other edge has said that it has the tunnel still.
        if own is not None and self._is_kept_for(name) and may_be_repeated(head):
            self._traveller.reached(Http1Exchange(onward, own))
            return
        self._let_go()
        # Where the question is lost, it is put again: nothing goes with it that would then be asked for twice.
        first = request_head(head, onward.headers) if head.framing or may_be_repeated(head) else b""
        passage = Passage(
            name=name,
            mode=Mode.HTTP,
            visitor=self._stay.peer,
            secure=self._visit.secure,
            first=first,
            hops=1 if self._only is None else 2,
            beyond=beyond,
        )
        self._waiting = reach = self._elsewhere.reach(passage)
        reach.addCallbacks(self._found, self._not_reached, (onward, bool(first), name)).addErrback(self._broken)

    def _is_kept_for(self, name: str) -> bool:
        own, to = self._own, self._own_to
        if own is None or not self._is_own(own) or not isinstance(to, Away) or to.name != name:
            return False
        return not self._elsewhere.has_moved(name, to.epoch)

    def _found(self, found: Passed | Here | Nowhere, onward: Onward, is_sent: bool, name: str) -> None:
        self._waiting = None
        match found:
            case Passed(stream=stream, epoch=epoch):
                # He came here for a tunnel that has left: when he asks DNS again, he will find where it is.
                farewell = self._tunnels.has_left(name)
                away = Away(name, epoch)
                upstream = Upstream(away, stream, self._clock, bound=True, is_away=True, farewell=farewell)
                self._has(upstream, away)
                self._traveller.reached(Http1Exchange(onward, upstream, is_sent=is_sent))
            case Here():
                self._find(onward.head)
            case Nowhere(kind=None):
                self._nobody()
            case Nowhere(kind=kind):
                self._traveller.answered(self._no_web(kind))

    def _no_web(self, kind: Kind | None) -> Answer:
        """To one that has TLS to itself a connection leads whose hello names it, and no request of another one."""
        return answers.MISDIRECTED if self._visit.secure and kind in (Kind.TLS, Kind.TLSTCP) else answers.NO_WEB_HERE

    def _nobody(self) -> None:
        if self._last_hop:
            # The edge that he came by sees that nothing was said, and looks for the tunnel where it is now.
            self._traveller.dropped()
        elif self._has_ended:
            self._traveller.answered(answers.ENDED)
        else:
            self._traveller.answered(answers.NO_TUNNEL)

    def _not_reached(self, failure: Failure) -> None:
        self._waiting = None
        if failure.check(CancelledError) is not None:
            return
        failure.trap(NotReached)
        assert isinstance(failure.value, NotReached)
        if failure.value.full:
            self._traveller.turned_away()
        else:
            self._traveller.answered(answers.MOVING)

    def _broken(self, failure: Failure) -> None:
        _log.failure("a visitor's request broke the edge", failure)
        self._traveller.dropped()

    def _has(self, upstream: Upstream, to: LiveForwarding | Away, policy: Policy | None = None) -> None:
        upstream.owner = self
        self._own, self._own_to = upstream, to
        self._own_leg = policy.leg if policy is not None else None

    def _is_own(self, upstream: Upstream) -> bool:
        """Whether it is this visitor's alone, and of use. What he has shared is in a pool, or in another's hands."""
        return upstream.bound and upstream.owner is self and not upstream.over

    def _let_go(self) -> None:
        own, self._own, self._own_to = self._own, None, None
        if own is not None and self._is_own(own):
            own.close()


class Way(Protocol):
    """Makes the `Route` of a visitor's requests."""

    def __call__(self, traveller: Traveller, *, stay: Stay) -> Route: ...
