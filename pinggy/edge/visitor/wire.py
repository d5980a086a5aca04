"""
The visitor's transport as we use it: read only while what comes has somewhere to go, and closed so that our last word
arrives.
"""

from __future__ import annotations

from typing import Protocol, cast

from twisted.internet.interfaces import IPushProducer, IReactorTime, ITransport
from zope.interface import implementer

from pinggy.edge.deadline import Deadline
from pinggy.edge.prompt import write_promptly


class WireUser(Protocol):
    def wire_full(self) -> None:
        """The visitor does not read: send no more."""
        ...

    def wire_drained(self) -> None:
        """He has read it all."""
        ...

    def wire_stalled(self) -> None:
        """He has read nothing for too long."""
        ...

    def wire_finishing(self) -> None:
        """All is sent or soon will be; the visitor has yet to close."""
        ...


class _Transport(Protocol):
    """TCP's and TLSMemoryBIOProtocol's, as far as it is used here."""

    def write(self, data: bytes) -> None: ...
    def loseConnection(self) -> None: ...
    def loseWriteConnection(self) -> None: ...
    def abortConnection(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def registerProducer(self, producer: object, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...


@implementer(IPushProducer)
class Wire:
    """
    *full*: what was sent waits for the visitor to read it; of that he takes some in *patience* seconds, or has stalled.
    *lingers*: only our own way has been closed.

    *secure*: TLS lies between, which has no half-close; its own closing (we say so, the visitor answers, and only then
    the socket closes) does instead.
    """

    __slots__ = (
        "_finishing",
        "_patience",
        "_reading",
        "_secure",
        "_stalling",
        "_transport",
        "_unsent",
        "_user",
        "full",
        "lingers",
    )

    def __init__(
        self, transport: ITransport, user: WireUser, *, secure: bool, clock: IReactorTime, patience: float
    ) -> None:
        self._transport = cast(_Transport, transport)
        self._user = user
        self._secure = secure
        self._patience = patience
        self._stalling = Deadline(clock, self._look)
        self._unsent = 0
        self._reading = True
        self._finishing = False
        self.lingers = False
        self.full = False

    def start(self) -> None:
        self._transport.registerProducer(self, True)

    def send(self, data: bytes) -> None:
        write_promptly(self._transport, data)

    def read(self, wanted: bool) -> None:
        """Whether what the visitor sends is *wanted* at the moment."""
        if wanted is self._reading:
            return
        self._reading = wanted
        if wanted:
            self._transport.resumeProducing()
        else:
            self._transport.pauseProducing()

    def send_end(self) -> None:
        """No more is sent; more may be read. Over TLS this closes both ways."""
        if self._secure:
            self.finish(linger=False)
            return
        # First: a transport closes nothing while a producer that it has paused is registered.
        self._transport.unregisterProducer()
        self._transport.loseWriteConnection()
        if self.full:
            self._has_drained()
            self._user.wire_drained()

    def finish(self, *, linger: bool) -> None:
        """
        Close when all is sent. To *linger* is to go on reading until the visitor closes: a socket that closes with
        unread bytes is reset, and our last word may be lost by it (RFC 9112 9.6).
        """
        self._finishing = True
        self.lingers = linger and not self._secure
        if not self.full:
            self._shut()

    def abort(self) -> None:
        """Close at once, so that the visitor sees that something is missing."""
        self._transport.abortConnection()

    def lost(self) -> None:
        """The connection is."""
        self._stalling.stop()

    # -- IPushProducer: the transport tells how the visitor reads ------------------------------------------------

    def pauseProducing(self) -> None:
        self.full = True
        self._wait()
        self._user.wire_full()

    def resumeProducing(self) -> None:
        self._has_drained()
        if self._finishing:
            self._shut()
        else:
            self._user.wire_drained()

    def stopProducing(self) -> None:
        """The connection is lost: its protocol is told that next."""

    def _has_drained(self) -> None:
        self.full = False
        self._stalling.clear()

    def _wait(self) -> None:
        self._unsent = unsent(self._transport)
        self._stalling.set(self._patience)

    def _look(self) -> None:
        if unsent(self._transport) != self._unsent:
            # He is slow, but he reads; or there is more than there was, of what was on its way.
            self._wait()
        else:
            self._user.wire_stalled()

    def _shut(self) -> None:
        # First: a transport whose other way is closed already may be lost within the call.
        self._user.wire_finishing()
        self._transport.unregisterProducer()
        if self.lingers:
            self._transport.loseWriteConnection()
        else:
            self._transport.loseConnection()


def unsent(transport: object) -> int:
    """Bytes that *transport*, or the one below its TLS, has put aside until the socket takes them."""
    while (below := getattr(transport, "transport", None)) is not None:
        transport = below
    aside = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return aside + getattr(transport, "_tempDataLen", 0)
