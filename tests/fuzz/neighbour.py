"""
Another edge, in memory: it has the tunnel ``blog``, and visitors come to it by the first one, in pieces as a link might
bring them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Here, NothingElsewhere, Nowhere, Passage, Passed
from pinggy.edge.stream import StreamReceiver
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.edge.visitor.doors import WebDoors
from pinggy.edge.visitor.limits import WebLimits
from pinggy.edge.visitor.web import WebVisitor
from tests.edge.visitor.visits import FACE
from tests.support.transports import VisitorTransport


class _End(Enum):
    HALF = auto()
    WHOLE = auto()


class Hop:
    """A `Stream` at the first edge, a visitor's connection at the other one."""

    def __init__(self, protocol: WebVisitor, visitor: Peer) -> None:
        self.transport = VisitorTransport(protocol, visitor.host)
        self.over = False
        self._receiver: StreamReceiver | None = None
        self._onward: list[bytes | _End] = []
        self._paused = False
        self._ended = False

    # -- Stream

    def attach(self, receiver: StreamReceiver) -> None:
        self._receiver = receiver

    def write(self, data: bytes) -> None:
        self._onward.append(data)

    def end(self) -> None:
        self._onward.append(_End.HALF)

    def close(self) -> None:
        self._onward.append(_End.WHOLE)
        self._is_over()

    def abort(self) -> None:
        self._onward.clear()
        if self.transport.connected:
            self.transport.resets()
        self._is_over()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    # -- the link

    def actions(self) -> list[Callable[[], None]]:
        if not self.transport.connected:
            return []
        actions = []
        if self._onward and not self.transport.paused:
            actions.append(self._carry_on)
        backward = self.transport.value() or self.transport.half_closed or self._is_cut
        if self._receiver is not None and not self._paused and not self.over and backward and not self._is_told:
            actions.append(self._carry_back)
        elif self._is_cut and self.over:
            actions.append(self.transport.closes)
        return actions

    @property
    def _is_cut(self) -> bool:
        return self.transport.disconnecting or self.transport.aborted

    @property
    def _is_told(self) -> bool:
        return self._ended and not self._is_cut and not self.transport.value()

    def _carry_on(self) -> None:
        said = self._onward.pop(0)
        if said is _End.HALF:
            self.transport.sends_fin()
        elif said is _End.WHOLE:
            self.transport.resets()
        elif isinstance(said, bytes):
            self.transport.sends(said)

    def _carry_back(self) -> None:
        assert self._receiver is not None
        said = self.transport.value()
        if said:
            self.transport.clear()
            self._receiver.stream_data(said)
        elif self.transport.aborted:
            self.transport.closes()
            self._is_over()
        else:
            if not self._ended:
                self._ended = True
                self._receiver.stream_ended()
            if self._is_cut and self.transport.connected:
                self.transport.closes()
                self._is_over()

    def _is_over(self) -> None:
        if not self.over:
            self.over = True
            if self._receiver is not None:
                self._receiver.stream_closed()


class Neighbour(NothingElsewhere):
    """The `Elsewhere` of the first edge."""

    def __init__(self, live: LiveForwarding) -> None:
        self.tunnels = Tunnels()
        self.tunnels.add(live)
        self.clock = Clock()
        self.hops: list[Hop] = []
        self._live = live

    def reach(self, passage: Passage) -> Deferred[Passed | Here | Nowhere]:
        if self.tunnels.by_name(passage.name) is None:
            return succeed(Nowhere())
        doors = WebDoors(tunnels=self.tunnels, face=FACE, clock=self.clock, limits=WebLimits())
        protocol = doors.web(NothingElsewhere(), passage.visitor, passage.secure, None, passage.name, True)
        hop = Hop(protocol, passage.visitor)
        self.hops.append(hop)
        if passage.first:
            hop.write(passage.first)
        return succeed(Passed(hop, 1))

    def actions(self) -> list[Callable[[], None]]:
        return [action for hop in self.hops for action in hop.actions()]

    def close(self) -> None:
        """Nothing of it may stay behind."""
        for hop in self.hops:
            if hop.transport.connected:
                hop.transport.closes()
        self._live.tunnel.let_finish()
        assert self._live.tunnel.tally.open == 0
        assert not self.clock.getDelayedCalls()
