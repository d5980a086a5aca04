"""
What was committed, told to those who act on it, in every core.

Whoever writes says it within the transaction (`Transaction.tell`): so it is told when that is committed, and never when
it is undone. News is a hint to read the ledger again and never stands for it: what is lost with a process, or with the
connection that brings it from other cores, is found there.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from twisted.logger import Logger

from pinggy.tunnel.refusals import MalformedMessage
from pinggy.wire import codec

N = TypeVar("N")
CHANNEL = "pinggy"
# Bytes; PostgreSQL takes less than 8000.
LONGEST = 7900
# Of our own, not yet told. Those of transactions that were undone stay among them until they are the oldest.
_MOST_UNTOLD = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersWritten:
    """There are orders for these *edges*."""

    TAG: ClassVar[str] = "orders-written"
    edges: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelsEnded:
    """The core itself has ended these *tunnels*; whether their edges clean up is not known."""

    TAG: ClassVar[str] = "tunnels-ended"
    tunnels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EdgesChanged:
    """There are other edges than before, or other addresses, or one is draining or no longer."""

    TAG: ClassVar[str] = "edges-changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesLive:
    """The zone's servers answer with these labels, each by a new owner."""

    TAG: ClassVar[str] = "names-live"
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question *ask* was put to *edge* by an order: who has its stream?"""

    TAG: ClassVar[str] = "asked"
    ask: str
    edge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """The edge that *ask* was put to has its stream at the core that says so."""

    TAG: ClassVar[str] = "attached"
    ask: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HungUp:
    """*edge* has hung up on the core that says so: its poll waited there, and was cut."""

    TAG: ClassVar[str] = "hung-up"
    edge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The edge has answered *ask*: *said* is its message as JSON."""

    TAG: ClassVar[str] = "answered"
    ask: str
    said: str


@dataclass(frozen=True, slots=True)
class LookAgain:
    """So much has happened that it is not told piece by piece: read everything again."""

    TAG: ClassVar[str] = "look-again"


@dataclass(frozen=True, slots=True)
class Unknown:
    """News of a newer core: passed over."""

    TAG: ClassVar[str] = codec.ANY_OTHER


Item = (
    OrdersWritten | TunnelsEnded | EdgesChanged | NamesLive | Asked | Attached | HungUp | Answered | LookAgain | Unknown
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulletin:
    """What one transaction says: the *serial* is the *core*'s own count."""

    core: str
    serial: int
    items: tuple[Item, ...]

    def text(self) -> str:
        """As it travels; where it is too long for that, it only says that there is something."""
        body = codec.encode(self)
        if len(body) > LONGEST:
            body = codec.encode(Bulletin(core=self.core, serial=self.serial, items=(LookAgain(),)))
        return body.decode("utf-8")


@dataclass(frozen=True, slots=True)
class _Ear:
    here: Callable[[Any], object]
    elsewhere: Callable[[Any], object]


class News:
    """
    That of one core: its own is told as soon as it is committed, that of others when it arrives. Those who are told
    must not raise, and must not wait.

    *on_gap* is told when news of others may have been missed. *carry* brings a text to all cores at once; whoever
    listens gives it.
    """

    _log = Logger()

    def __init__(self) -> None:
        self.core = secrets.token_hex(8)
        self.on_gap: list[Callable[[], object]] = []
        self.carry: Callable[[str], object] = _nowhere
        self._serials = itertools.count(1)
        self._ears: dict[type, list[_Ear]] = {}
        self._untold: dict[int, Bulletin] = {}

    def hear(
        self, kind: type[N], tell: Callable[[N], object], *, elsewhere: Callable[[N], object] | None = None
    ) -> None:
        """*tell* is called with each news of this *kind*; with what other cores did *elsewhere*, where it is given."""
        self._ears.setdefault(kind, []).append(_Ear(tell, elsewhere or tell))

    def bulletin(self, items: Iterable[Item]) -> Bulletin:
        """A new one of this core. It is told by `committed`, or `arrived`, and not before."""
        bulletin = Bulletin(core=self.core, serial=next(self._serials), items=tuple(items))
        self._untold[bulletin.serial] = bulletin
        if len(self._untold) > _MOST_UNTOLD:
            del self._untold[next(iter(self._untold))]
        return bulletin

    def say(self, *items: Item) -> None:
        """
        Tell *items* in every core, now and without a transaction. For what is true of this process alone and is of no
        use later: it does not queue behind others for a connection, and is lost where nobody listens just then.
        """
        if not items:
            return
        bulletin = self.bulletin(items)
        self.committed([bulletin])
        self.carry(bulletin.text())

    def committed(self, bulletins: Sequence[Bulletin]) -> None:
        """The transaction of these *bulletins* of ours was committed."""
        for each in bulletins:
            self._tell_ours(each.serial)

    def arrived(self, text: str) -> None:
        """A bulletin has come as *text* from some core; what comes back of our own is not told twice."""
        try:
            bulletin = codec.decode(Bulletin, text.encode("utf-8"))
        except MalformedMessage as error:
            self._log.warn("news of another core is not understood: {error}", error=error.text)
            return
        if bulletin.core == self.core:
            self._tell_ours(bulletin.serial)
        else:
            self._tell(bulletin, here=False)

    def gap(self) -> None:
        """News of others may have been missed."""
        for look in self.on_gap:
            self._call(look)

    def _tell_ours(self, serial: int) -> None:
        """
        Each of our own comes twice, in either order: when its commit is answered, and back by the database. The first
        counts; where the answer to the commit was lost, it is the only one.
        """
        bulletin = self._untold.pop(serial, None)
        if bulletin is not None:
            self._tell(bulletin, here=True)

    def _tell(self, bulletin: Bulletin, *, here: bool) -> None:
        for item in bulletin.items:
            if isinstance(item, LookAgain):
                self.gap()
            for ear in self._ears.get(type(item), ()):
                self._call(ear.here if here else ear.elsewhere, item)

    def _call(self, tell: Callable[..., object], *what: Item) -> None:
        try:
            tell(*what)
        except Exception:
            self._log.failure("acting on news broke")


def _nowhere(text: str) -> None:
    pass
