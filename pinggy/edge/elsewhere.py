"""
The seam between visitors and tunnels that other edges have: a stream as any other, by one hop.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from twisted.internet.defer import Deferred, succeed

from pinggy.edge.client import Peer
from pinggy.edge.counted import Kept
from pinggy.edge.stream import Stream
from pinggy.edge.tally import Tally
from pinggy.edge.tunnels import LiveForwarding
from pinggy.tunnel.request import Kind
from pinggy.wire.places import Place


class Mode(Enum):
    """What passes from edge to edge, and so which kinds of tunnels take it."""

    CONNECTION = 0  # all that the visitor sends, as he sends it: TLS, unread
    HTTP = 1  # his requests to one tunnel, whole connections apart
    TCP = 2  # a connection to the port of a tunnel

    def suits(self, kind: Kind) -> bool:
        match self:
            case Mode.CONNECTION:
                return kind in (Kind.HTTP, Kind.TLS, Kind.TLSTCP)
            case Mode.HTTP:
                return kind is Kind.HTTP
            case Mode.TCP:
                return kind is Kind.TCP


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """
    One *visitor* on the way to the tunnel of the label *name*. *secure*: he spoke TLS, which has been ended (`HTTP`
    alone). *first* is what he has sent already: it goes with the question, and is sent again where that is put again.

    *hops* is how many edges he has passed with this one. It is 2 for requests (`HTTP` alone) of a connection that came
    by an edge and was ended here: what comes so is never passed on, so nobody goes in circles.

    *beyond* is the epoch by which the tunnel was met at this edge, where its client was lost: one that is newer is
    looked for.
    """

    name: str
    mode: Mode
    visitor: Peer
    secure: bool = False
    first: bytes = b""
    hops: int = 1
    beyond: int = 0


@dataclass(frozen=True, slots=True)
class Passed:
    """The edge that has the tunnel has taken the visitor: *stream* leads there, by *epoch*."""

    stream: Stream
    epoch: int


@dataclass(frozen=True, slots=True)
class Here:
    """Meanwhile it is this edge that has it. Nothing was sent."""

    live: LiveForwarding


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Nobody has the name; or (*kind*) somebody whose tunnel does not take what was to pass."""

    kind: Kind | None = None


class NotReached(Exception):
    """
    The name has an owner, or had one just now, but he was not met within the time that a visitor waits. *full*: he was
    met, and this visitor's address has as many connections there as it may have.
    """

    def __init__(self, *, full: bool = False) -> None:
        super().__init__()
        self.full = full


class Elsewhere(Protocol):
    def reach(self, passage: Passage) -> Deferred[Passed | Here | Nowhere]:
        """
        Within 2 s or so. Fails with `NotReached`. To cancel it says that the visitor has left; a `Passed` that comes
        nevertheless must be closed.
        """
        ...

    def has_moved(self, name: str, epoch: int) -> bool:
        """Whether *name*, which has been met by *epoch*, is known to have a newer place."""
        ...


class Told(Protocol):
    """Who is told where names live, as the core says it."""

    def placed(self, place: Place, seconds: float | None) -> None:
        """It lives there now; its port, if it has one, is listened at for so many *seconds*, None for no end."""
        ...

    def displaced(self, name: str, epoch: int) -> None:
        """Nobody has *name* by *epoch* any more."""
        ...


class NothingElsewhere:
    """Where there are no other edges: or where a visitor came from one, and has had his hop."""

    def reach(self, passage: Passage) -> Deferred[Passed | Here | Nowhere]:
        return succeed(Nowhere())

    def has_moved(self, name: str, epoch: int) -> bool:
        return False

    def placed(self, place: Place, seconds: float | None) -> None:
        """That is nothing to us."""

    def displaced(self, name: str, epoch: int) -> None:
        """Nor is that."""


class Away:
    """The tunnel *name* of another edge, met by *epoch*, as far as a stream is counted: which is done there."""

    has_ended = False

    def __init__(self, name: str, epoch: int) -> None:
        self.name = name
        self.epoch = epoch
        self.tally = Tally()
        self.kept: set[Kept] = set()

    def stream_over(self) -> None:
        """There it was open."""
