"""
A connection to another edge: ready for a visitor, then asked, then his stream; and ready again when that has ended
both ways.

    handshake -> ready -> asked -> taken -> ending -> ready
                                                        ... -> over

What the other edge sends waits nowhere but in one read, until there is a receiver.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IHandshakeListener, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from pinggy.edge.peers.frames import END, FrameReader, framed
from pinggy.edge.peers.greeting import Verdict
from pinggy.edge.peers.identity import edge_shown
from pinggy.edge.peers.link_stream import LinkStream
from pinggy.edge.stream import StreamReceiver
from pinggy.edge.timer import Timer

# Seconds for the other edge to end its way when ours has, and to take what was written before.
CLOSING = 10.0


class LinkLost(Exception):
    """The connection came to nothing: no edge there, another one than expected, or cut before its verdict."""


class _State(Enum):
    HANDSHAKE = auto()
    READY = auto()
    ASKED = auto()
    TAKEN = auto()
    ENDING = auto()  # the receiver has closed; the other edge has yet to end
    OVER = auto()


@implementer(IHandshakeListener, IPushProducer)
class Link(Protocol):
    """
    To the edge *expected*, and to no other. Once it is taken, `stream` is its visitor's. *free* is told when it is
    ready again, *left* when it was ready and is lost.
    """

    def __init__(
        self, expected: str, clock: IReactorTime, free: Callable[[Link], None], left: Callable[[Link], None]
    ) -> None:
        self._expected = expected
        self._free = free
        self._left = left
        self._state = _State.HANDSHAKE
        self._ready: Deferred[Link] = Deferred(lambda _: self._cut())
        self._asked: Deferred[Verdict] | None = None
        self._closing = Timer(clock, self._cut)
        self._clear()

    def _clear(self) -> None:
        """Nothing is left of one visitor when the next one comes."""
        self.stream = LinkStream(self)
        self._reader = FrameReader()
        self._receiver: StreamReceiver | None = None
        self._early: list[bytes] = []
        self._told_end = False
        self._ended = False
        self._paused = False

    # -- until it is taken ---------------------------------------------------------------------------------------

    def ready(self) -> Deferred[Link]:
        """Fires after the handshake. Fails with `LinkLost`; to cancel it cuts the connection. Ask once."""
        return self._ready

    def ask(self, greeting: bytes, first: bytes) -> Deferred[Verdict]:
        """Of one that is ready. Fails with `LinkLost`; to cancel it cuts the connection."""
        if self._state is not _State.READY:
            return fail(LinkLost())
        self._state = _State.ASKED
        self._asked = Deferred(lambda _: self._give_up())
        self._tls.write(greeting + framed(first) if first else greeting)
        return self._asked

    @property
    def is_ready(self) -> bool:
        return self._state is _State.READY

    def connectionMade(self) -> None:
        self._tls = cast(Any, self.transport)
        self._tls.setTcpNoDelay(True)
        self._tls.setTcpKeepAlive(True)

    def handshakeCompleted(self) -> None:
        if self._ready.called or edge_shown(self._tls) != self._expected:
            self._cut()
            return
        self._state = _State.READY
        self._ready.callback(self)

    # -- what its visitor's stream asks --------------------------------------------------------------------------

    def attach(self, receiver: StreamReceiver) -> None:
        self._receiver = receiver
        if self._state is _State.TAKEN:
            self._tls.registerProducer(self, True)
        early, self._early = self._early, []
        for data in early:
            receiver.stream_data(data)
        self._tell_end()
        if self._state is _State.OVER:
            receiver.stream_closed()
        elif not self._paused:
            self.resume()

    def write(self, data: bytes) -> None:
        if data and self._state is _State.TAKEN and not self._ended:
            self._tls.write(framed(data))

    def end(self) -> None:
        if self._state is _State.TAKEN and not self._ended:
            self._ended = True
            self._tls.write(END)

    def close(self) -> None:
        if self._state is not _State.TAKEN:
            return
        self.end()
        self._state = _State.ENDING
        self._closing.start(CLOSING)
        self._tls.unregisterProducer()
        # Its end is awaited: what still comes is dropped.
        self._tls.resumeProducing()
        self._finish()

    def abort(self) -> None:
        self._cut()

    def pause(self) -> None:
        self._paused = True
        if self._state is _State.TAKEN:
            self._tls.pauseProducing()

    def resume(self) -> None:
        self._paused = False
        if self._state is _State.TAKEN:
            self._tls.resumeProducing()

    # -- from the other edge -------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        if self._state is _State.ASKED:
            data = self._judged(data)
        elif self._state is _State.READY:
            # Nothing was asked.
            self._cut()
        if self._state not in (_State.TAKEN, _State.ENDING) or not data:
            return
        carried = self._reader.feed(data)
        if self._reader.rest:
            self._cut()
        elif self._state is _State.ENDING:
            self._finish()
        elif self._receiver is None:
            if carried:
                self._early.append(carried)
            self._tls.pauseProducing()
        else:
            if carried:
                self._receiver.stream_data(carried)
            self._tell_end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        was_ready = self._state is _State.READY
        self._state = _State.OVER
        self._closing.stop()
        asked, self._asked = self._asked, None
        if not self._ready.called:
            self._ready.errback(LinkLost())
        elif asked is not None:
            asked.errback(LinkLost())
        elif was_ready:
            self._left(self)
        elif self._receiver is not None:
            self._receiver.stream_closed()

    def _judged(self, data: bytes) -> bytes:
        """What stands behind the verdict."""
        asked, self._asked = self._asked, None
        assert asked is not None
        try:
            verdict = Verdict(data[:1])
        except ValueError:
            self._cut()
            asked.errback(LinkLost())
            return b""
        if verdict is Verdict.HERE:
            self._state = _State.TAKEN
            self._tls.pauseProducing()
        else:
            self._state = _State.ENDING
            self._tls.loseConnection()
            self._closing.start(CLOSING)
        asked.callback(verdict)
        return data[1:]

    def _tell_end(self) -> None:
        if self._reader.ended and not self._told_end and self._receiver is not None:
            self._told_end = True
            self._receiver.stream_ended()

    def _finish(self) -> None:
        """Both ways have ended: this visitor is through."""
        if self._state is not _State.ENDING or not self._reader.ended:
            return
        self._closing.stop()
        receiver = self._receiver
        self.stream.let_go()
        self._clear()
        self._state = _State.READY
        if receiver is not None:
            receiver.stream_closed()
        self._free(self)

    def _give_up(self) -> None:
        self._asked = None
        self._cut()

    def _cut(self) -> None:
        if self._state is not _State.OVER:
            self._tls.abortConnection()

    # -- how the other edge takes it, from its transport ---------------------------------------------------------

    def pauseProducing(self) -> None:
        if self._receiver is not None:
            self._receiver.stream_full()

    def resumeProducing(self) -> None:
        if self._receiver is not None:
            self._receiver.stream_drained()

    def stopProducing(self) -> None:
        """The connection is lost: `connectionLost` says it."""
