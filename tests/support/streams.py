"""
Streams and clients in memory: what a way in offers to visitors, without a way in.

`FakeStream` keeps what was written and lets a test say what the client does; `FakeClient` hands streams out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, fail, succeed

from pinggy.edge.client import Peer
from pinggy.edge.stream import Stream, StreamReceiver, StreamRefused
from pinggy.edge.tunnels import LiveForwarding, LiveTunnel
from pinggy.tunnel.grant import ANONYMOUS, Forwarding, Limits
from pinggy.tunnel.life import Life
from pinggy.tunnel.policy import Policy
from pinggy.tunnel.refusals import Refusal
from pinggy.tunnel.request import Kind

VISITOR = Peer("192.0.2.7", 40000)
CLIENT = Peer("198.51.100.9", 50000)


class FakeStream:
    """
    A stream whose client is the test. What the visitor's side did stands in *written*, *ended*, *closed*, *aborted* and
    *paused*; `client_sends` and its like are what the client does. Both closes meet at once: a stream that its
    receiver closes is closed.
    """

    def __init__(self, answer: Callable[[FakeStream, bytes], None] | None = None) -> None:
        self.receiver: StreamReceiver | None = None
        self.written = bytearray()
        self.ended = False
        self.closed = False
        self.aborted = False
        self.paused = False
        self.over = False
        self._answer = answer
        self._early: list[Callable[[StreamReceiver], None]] = []

    # -- Stream

    def attach(self, receiver: StreamReceiver) -> None:
        self.receiver = receiver
        self.paused = False
        early, self._early = self._early, []
        for tell in early:
            tell(receiver)

    def write(self, data: bytes) -> None:
        if self.over or self.ended:
            return
        self.written += data
        if self._answer is not None:
            self._answer(self, data)

    def end(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True
        self._is_over()

    def abort(self) -> None:
        self.aborted = True
        self._is_over()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    # -- what the client does

    def client_sends(self, data: bytes) -> None:
        self._tell(lambda receiver: receiver.stream_data(data))

    def client_ends(self) -> None:
        self._tell(lambda receiver: receiver.stream_ended())

    def client_closes(self) -> None:
        self._is_over()

    def client_is_full(self) -> None:
        self._tell(lambda receiver: receiver.stream_full())

    def client_drains(self) -> None:
        self._tell(lambda receiver: receiver.stream_drained())

    def _is_over(self) -> None:
        if not self.over:
            self.over = True
            self._tell(lambda receiver: receiver.stream_closed())

    def _tell(self, tell: Callable[[StreamReceiver], None]) -> None:
        if self.receiver is None:
            self._early.append(tell)
        else:
            tell(self.receiver)


@dataclass
class FakeClient:
    """
    Hands out a `FakeStream` for each visitor: those of *streams* first, then new ones that answer with *answer*.

    With *refusal* it refuses instead; with *slow*, its Deferreds wait in *asked* for the test to fire them.
    """

    peer: Peer = CLIENT
    refusal: StreamRefused | None = None
    slow: bool = False
    answer: Callable[[FakeStream, bytes], None] | None = None
    streams: list[FakeStream] = field(default_factory=list)
    opened: list[FakeStream] = field(default_factory=list)
    visitors: list[Peer] = field(default_factory=list)
    asked: list[Deferred[Stream]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    told: list[Refusal] = field(default_factory=list)
    left: list[Refusal] = field(default_factory=list)
    on_open: list[Deferred[FakeStream]] = field(default_factory=list)

    def open_stream(self, forwarding: Forwarding, visitor: Peer) -> Deferred[Stream]:
        self.visitors.append(visitor)
        if self.refusal is not None:
            return fail(self.refusal)
        if self.slow:
            asked: Deferred[Stream] = Deferred()
            self.asked.append(asked)
            return asked
        stream = self.streams.pop(0) if self.streams else FakeStream(self.answer)
        self.opened.append(stream)
        awaited, self.on_open = self.on_open, []
        for each in awaited:
            each.callback(stream)
        return succeed(stream)

    def next_stream(self) -> Deferred[FakeStream]:
        """Fires with the next stream that is opened."""
        awaited: Deferred[FakeStream] = Deferred()
        self.on_open.append(awaited)
        return awaited

    def probe(self) -> Deferred[None]:
        return succeed(None)

    def tell(self, code: str, text: str) -> None:
        self.lines.append(text)

    def announce(self, reason: Refusal) -> None:
        self.told.append(reason)

    def leave(self, reason: Refusal) -> None:
        self.left.append(reason)


def live_forwarding(
    client: FakeClient | None = None,
    *,
    kind: Kind = Kind.HTTP,
    name: str = "shop",
    port: int | None = None,
    policy: Policy | None = None,
    in_force: bool = True,
    channels: int = 100,
    epoch: int = 1,
) -> LiveForwarding:
    """A live forwarding of a tunnel of its own; its policy is in force unless *in_force* is False."""
    life = Life()
    life.forwarded(0.0)
    if in_force:
        life.command_read(policy or Policy())
    tunnel = LiveTunnel(
        id=f"tunnel-{name}",
        client=client or FakeClient(),
        life=life,
        identity=ANONYMOUS,
        limits=Limits(forwardings=10, channels=channels),
        end=lambda reason, grace=0.0: succeed(None),
    )
    return LiveForwarding(
        forwarding=Forwarding(number=1, kind=kind, name=name, epoch=epoch, port=port),
        tunnel=tunnel,
    )
