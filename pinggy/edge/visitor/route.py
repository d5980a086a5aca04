"""
From the Host of a request to a stream of its tunnel: the name, the policy, the stream; or to another edge that has it.

Here one visitor connection waits: until the policy is in force, until the client has opened a stream, and while a name
changes hands. The stream is kept for the next request to the same place.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Away, Elsewhere, Here, Mode, NotReached, Nowhere, Passage, Passed
from pinggy.edge.stream import Stream, StreamRefused
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.edge.visitor import answers
from pinggy.edge.visitor.exchange import may_be_repeated
from pinggy.edge.visitor.upstream import Upstream
from pinggy.edge.visitor.verdict import Answer, admit
from pinggy.http.head import RequestHead
from pinggy.http.rewrite import Visit, request_for_peer
from pinggy.tunnel.addresses import PublicFace
from pinggy.tunnel.names import label_of_host, normal_host
from pinggy.tunnel.policy import Address, Policy
from pinggy.tunnel.refusals import Refusal
from pinggy.tunnel.request import Kind

_log = Logger()

# How often one request is sent, where a tunnel moves while it is on its way.
_MOST_TRIES = 4


class Traveller(Protocol):
    """Who asked the way. One of these answers each `Route.ask` and `Route.again`, perhaps at once."""

    def reached(self, head: RequestHead, onward: bytes, upstream: Upstream) -> None:
        """*onward* is the head as the local server shall read it; nothing where it has been sent already."""
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
    The way of one visitor's requests, one at a time. One who has come by another edge may go to the tunnel *only*,
    and to no other; where (*last_hop*) his requests alone have, and not his connection, that edge looks for another way
    itself.
    """

    def __init__(
        self,
        traveller: Traveller,
        *,
        tunnels: Tunnels,
        face: PublicFace,
        peer: Peer,
        address: Address,
        visit: Visit,
        elsewhere: Elsewhere,
        only: str | None = None,
        last_hop: bool = False,
    ) -> None:
        self._traveller = traveller
        self._tunnels = tunnels
        self._elsewhere = elsewhere
        self._only = only
        self._last_hop = last_hop
        self._face = face
        self._peer = peer
        self._address = address
        self._visit = visit
        self._waiting: Deferred[Policy] | Deferred[Passed | Here | Nowhere] | None = None
        self._asked: RequestHead | None = None
        self._tries = 0
        self._has_ended = False
        self._closed = False
        self.upstream: Upstream | None = None

    def ask(self, head: RequestHead) -> None:
        """Find the way for *head*."""
        self._asked = head
        self._tries = 0
        self._has_ended = False
        self._find(head)

    def again(self) -> None:
        """The stream was dead: reach the same name over a fresh one."""
        assert self._asked is not None
        if self.upstream is not None and self.upstream.tunnel.has_ended:
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
        label = label_of_host(normal_host(head.host), self._face.domain)
        live = self._tunnels.by_name(label) if label else None
        if self._only is not None and label != self._only:
            self._traveller.answered(Answer(421, answers.MISDIRECTED))
        elif label is None:
            self._traveller.answered(Answer(404, answers.NO_TUNNEL))
        elif self._tries > _MOST_TRIES:
            self._traveller.answered(Answer(503, answers.MOVING))
        elif live is None:
            self._reach(head, label)
        else:
            self._visit_here(head, live)

    # -- a tunnel of this edge -------------------------------------------------------------------------------------

    def _visit_here(self, head: RequestHead, live: LiveForwarding) -> None:
        if live.forwarding.kind is not Kind.HTTP:
            self._traveller.answered(Answer(404, answers.NO_WEB_HERE))
            return
        self._waiting = policy = live.tunnel.policy()
        policy.addCallbacks(self._in_force, self._never_in_force, (head, live), {}, (head, live)).addErrback(
            self._broken
        )

    def _in_force(self, policy: Policy, head: RequestHead, live: LiveForwarding) -> None:
        self._waiting = None
        if not policy.admits(self._address):
            self._traveller.turned_away()
            return
        admitted = admit(head, policy, self._visit, live.forwarding.name, self._face)
        upstream = self.upstream
        if isinstance(admitted, Answer):
            self._traveller.answered(admitted)
        elif upstream is not None and upstream.to is live and not upstream.over:
            self._traveller.reached(head, admitted, upstream)
        else:
            self._open(head, admitted, live)

    def _never_in_force(self, failure: Failure, head: RequestHead, live: LiveForwarding) -> None:
        self._waiting = None
        if failure.check(CancelledError) is None:
            failure.trap(Refusal)
            self._has_ended = True
            # It may be in the books of this edge a moment longer.
            self._reach(head, live.forwarding.name, live.forwarding.epoch)

    def _open(self, head: RequestHead, onward: bytes, live: LiveForwarding) -> None:
        self._let_go()
        tunnel = live.tunnel
        if tunnel.tally.open >= tunnel.limits.channels:
            self._traveller.answered(Answer(503, answers.FULL))
            return
        # Not cancelled when the visitor leaves: a stream that comes later must be closed, not lost.
        tunnel.open_stream(live.forwarding, self._peer).addCallbacks(
            self._opened, self._not_opened, (head, onward, live), {}, (head, live)
        ).addErrback(self._broken)

    def _opened(self, stream: Stream, head: RequestHead, onward: bytes, live: LiveForwarding) -> None:
        upstream = Upstream(live, stream)
        if self._closed:
            upstream.abort()
            return
        self.upstream = upstream
        self._traveller.reached(head, onward, upstream)

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
            self._traveller.answered(Answer(502, answers.DOWN))

    # -- a tunnel of another edge ----------------------------------------------------------------------------------

    def _reach(self, head: RequestHead, name: str, beyond: int = 0) -> None:
        onward = request_for_peer(head)
        upstream = self.upstream
        # What may not be sent twice is sent when the other edge has said that it has the tunnel still.
        if upstream is not None and self._is_kept_for(upstream, name) and may_be_repeated(head):
            self._traveller.reached(head, onward, upstream)
            return
        self._let_go()
        # Where the question is lost, it is put again: nothing goes with it that would then be asked for twice.
        first = onward if head.framing or may_be_repeated(head) else b""
        passage = Passage(
            name=name,
            mode=Mode.HTTP,
            visitor=self._peer,
            secure=self._visit.secure,
            first=first,
            hops=1 if self._only is None else 2,
            beyond=beyond,
        )
        self._waiting = reach = self._elsewhere.reach(passage)
        left = b"" if first else onward
        reach.addCallbacks(self._found, self._not_reached, (head, left, name)).addErrback(self._broken)

    def _is_kept_for(self, upstream: Upstream, name: str) -> bool:
        to = upstream.to
        if upstream.over or not isinstance(to, Away) or to.name != name:
            return False
        return not self._elsewhere.has_moved(name, to.epoch)

    def _found(self, found: Passed | Here | Nowhere, head: RequestHead, onward: bytes, name: str) -> None:
        self._waiting = None
        match found:
            case Passed(stream=stream, epoch=epoch):
                # He came here for a tunnel that has left: when he asks DNS again, he will find where it is.
                farewell = self._tunnels.has_left(name)
                upstream = self.upstream = Upstream(Away(name, epoch), stream, farewell=farewell)
                self._traveller.reached(head, onward, upstream)
            case Here():
                self._find(head)
            case Nowhere(kind=None):
                self._nobody()
            case Nowhere():
                self._traveller.answered(Answer(404, answers.NO_WEB_HERE))

    def _nobody(self) -> None:
        if self._last_hop:
            # The edge that he came by sees that nothing was said, and looks for the tunnel where it is now.
            self._traveller.dropped()
        elif self._has_ended:
            self._traveller.answered(Answer(503, answers.ENDED))
        else:
            self._traveller.answered(Answer(404, answers.NO_TUNNEL))

    def _not_reached(self, failure: Failure) -> None:
        self._waiting = None
        if failure.check(CancelledError) is not None:
            return
        failure.trap(NotReached)
        assert isinstance(failure.value, NotReached)
        if failure.value.full:
            self._traveller.turned_away()
        else:
            self._traveller.answered(Answer(503, answers.MOVING))

    def _broken(self, failure: Failure) -> None:
        _log.failure("a visitor's request broke the edge", failure)
        self._traveller.dropped()

    def _let_go(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None and not upstream.over:
            upstream.close()
