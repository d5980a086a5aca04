"""
The contract of the store: transactions over accounts, reservations, edges and tunnels.

`authority`, `claims` and `operator` decide; what keeps a `Ledger` only reads and writes. `postgres` is the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred

from pinggy.core.account_book import Accounts
from pinggy.core.doctor_book import DoctorBook
from pinggy.core.handovers import Handover, HandoverBook
from pinggy.core.news import Item, TunnelsEnded
from pinggy.core.place_book import PlaceBook
from pinggy.core.report_book import ReportBook
from pinggy.core.zone_book import ZoneBook
from pinggy.tunnel.grant import Forwarding, Identity
from pinggy.tunnel.refusals import CoreAway, Refusal
from pinggy.tunnel.request import Kind
from pinggy.wire import operator
from pinggy.wire.messages import Lost, Usage
from pinggy.wire.orders import Close, Order

T = TypeVar("T")


class LedgerAway(CoreAway):
    """The store does not answer. A refusal, so that it can be said to whoever asked."""


class LedgerError(Exception):
    """The store answered with an error: a bug of ours, or a schema that is not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeEntry:
    """*digest* is the SHA-256 of the edge's secret. One that is *draining* takes no new tunnels."""

    name: str
    region: str
    digest: bytes
    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeStart:
    """*anew*: the edge ran as another instance before, or never. *left* are its tunnels of others (still live)."""

    anew: bool
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelEntry:
    """A live tunnel. *expires_in* is seconds from now, None for no end."""

    id: str
    edge: str
    identity: Identity
    address: str
    expires_in: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTunnel:
    """*subnet* is what limits count; *lease* and *expires_in* are seconds from now."""

    id: str
    edge: str
    identity: Identity
    address: str
    subnet: str
    lease: float
    expires_in: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A forwarding that a tunnel holds. *named*: asked for by its name or port, not the default one."""

    forwarding: Forwarding
    named: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One name (and port) for one forwarding of *tunnel*."""

    tunnel: str
    number: int
    kind: Kind
    name: str
    named: bool
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The live tunnel that holds a name or port, at *edge*."""

    tunnel: str
    identity: Identity
    edge: str
    lease_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A tunnel that was live until now, at *edge*, with the names that it had: records that lead to *region*."""

    tunnel: str
    edge: str
    region: str
    forwardings: tuple[Forwarding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """*order* for *edge*; its number is yet to be given."""

    edge: str
    order: Order


def close_order(ended: Ended, reason: Refusal, grace: float = 0.0) -> NewOrder:
    """The edge of *ended* shall close it; who is being served has *grace* seconds."""
    close = Close(tunnel=ended.tunnel, code=reason.code, text=reason.text, grace=grace)
    return NewOrder(edge=ended.edge, order=close)


def closing(old: Iterable[Handover]) -> list[NewOrder]:
    """The edges of *old* tunnels shall close them now."""
    return [NewOrder(edge=each.edge, order=each.close()) for each in old]


def news_of(ended: Sequence[Ended]) -> tuple[Item, ...]:
    """What is to be told of tunnels that the core itself has *ended*."""
    return (TunnelsEnded(tunnels=tuple(each.tunnel for each in ended)),) if ended else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """
    How many tunnels there are: live of an account, live anonymous of a subnet; and *new*, begun in the last minute: of
    the account, or where there is none, anonymous of the subnet.
    """

    of_account: int
    anonymous_of_subnet: int
    new: int


class Edges(Protocol):
    """Edges, as one transaction sees them."""

    async def edge_by_digest(self, digest: bytes) -> EdgeEntry | None: ...

    async def register_edge(
        self, edge: str, instance: str, host_keys: Sequence[str], relay_port: int | None = None
    ) -> EdgeStart:
        """Note that *edge* runs as *instance*, which is not draining."""
        ...

    async def set_draining(self, edge: str, draining: bool, instance: str | None = None) -> bool:
        """False where there is no such edge, or where it runs as another instance than *instance*."""
        ...

    async def regions(self) -> frozenset[str]: ...

    async def edges(self) -> tuple[operator.Edge, ...]: ...

    async def add_edge(self, edge: operator.AddEdge, digest: bytes) -> bool:
        """False where there is one of this name."""
        ...

    async def change_edge(self, edge: operator.AddEdge, digest: bytes) -> None:
        """Make the edge of this name what *edge* says."""
        ...

    async def place_edge(self, edge: operator.PlaceEdge) -> bool:
        """False where there is none of this name."""
        ...

    async def remove_edge(self, name: str) -> bool: ...

    async def host_keys(self, within: float) -> dict[str, tuple[str, ...]]:
        """The fingerprints that edges have presented, sorted; of those heard *within* so many seconds."""
        ...


class TunnelBook(Protocol):
    """Tunnels, live and ended, as one transaction sees them."""

    async def lock(self, *subjects: str) -> None:
        """One transaction at a time goes on past here for each of *subjects*, until it is over."""
        ...

    async def tunnel(self, tunnel: str) -> TunnelEntry | None:
        """The live *tunnel*; nobody else changes it until this transaction is over."""
        ...

    async def add_tunnel(self, tunnel: NewTunnel) -> None: ...

    async def forget_tunnel(self, tunnel: str) -> None:
        """Take a tunnel away that has come to nothing, without history."""
        ...

    async def extend_lease(self, tunnel: str, lease: float) -> None: ...

    async def crowd(self, account: str | None, subnet: str) -> Crowd: ...

    async def end_of(self, tunnel: str) -> Refusal | None:
        """Why *tunnel* ended, or was released before it came; None where nothing is known."""
        ...

    async def end(self, tunnels: Collection[str], reason: Refusal) -> tuple[Ended, ...]:
        """Move them to the history; the answer is those that were live."""
        ...

    async def forwardings(self, tunnel: str) -> tuple[Held, ...]: ...

    async def claim(self, claim: Claim) -> int | None:
        """
        The epoch of the new forwarding, higher than any that its name had; None where somebody has the name or
        port. Waits for other transactions that are about to take or free them.
        """
        ...

    async def rename(self, tunnel: str, number: int, claim: Claim) -> int:
        """Forwarding *number* becomes *claim*, of the same tunnel and name (and port); its new epoch."""
        ...

    async def end_forwardings(self, tunnel: str, numbers: Collection[int]) -> None: ...

    async def holder_of_name(self, name: str) -> Holder | None: ...

    async def holder_of_port(self, port: int) -> Holder | None: ...

    async def any_port(self, first: int, last: int, avoid: Collection[int]) -> int | None:
        """A random port of the range that nobody holds or has reserved."""
        ...

    async def set_live(self, tunnel: str, numbers: Collection[int]) -> tuple[str, ...]:
        """The names that became live by it: none where it is repeated."""
        ...

    async def note_usage(self, usage: Usage) -> None: ...

    async def release_early(self, edge: str, tunnel: str) -> None:
        """Remember that *tunnel*, which nobody knows, was released."""
        ...

    async def renew(self, edge: str, usages: Sequence[Usage], lease: float) -> tuple[Lost, ...]:
        """
        Renew those that are live tunnels of *edge*, however many, at once; the answer is the others, without those that
        are being handed over.
        """
        ...

    async def clock(self) -> float:
        """The time by which leases are over, in seconds."""
        ...

    async def overdue(self, grace: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """
        Live tunnels whose lease is over, and those that expired *grace* seconds ago; locked. None that somebody
        else is changing.
        """
        ...

    async def forget_old(self, early: float, history: float, orders: float) -> None:
        """Drop early releases, history, and orders that no edge has come for, older than these seconds."""
        ...

    async def tunnels(self, account: str | None, history: bool) -> tuple[operator.TunnelRow, ...]:
        """Live ones, or the latest ended ones; newest first."""
        ...


class OrderBook(Protocol):
    """Orders that wait for their edges, as one transaction sees them. The numbers of an edge have no gaps."""

    async def order(self, orders: Sequence[NewOrder]) -> frozenset[str]:
        """
        Write *orders*, numbered in this order for each edge, and tell of them; the answer is the edges. The last act of
        a transaction: whoever has orders for the same edges waits for its end, so that a higher number is never seen
        before a lower.
        """
        ...

    async def begin_orders(self, edge: str, anew: bool) -> int:
        """
        The number after which the orders for *edge* begin; with *anew* all that wait are dropped. The last act of a
        transaction.
        """
        ...

    async def orders(self, edge: str, instance: str, after: int, most: int) -> tuple[Order, ...] | None:
        """
        Drop those up to *after*; the next *most* of the others, by number. None where *edge* runs as another instance.
        An *after* that was never given is that of a ledger before this one: then nothing is dropped or left out.
        """
        ...


class NewsDesk(Protocol):
    """What a transaction has to say to all cores."""

    async def tell(self, *items: Item) -> None:
        """*items* are told in every core when this transaction is committed, and never if it is undone."""
        ...

    async def hint(self, *items: Item) -> None:
        """
        As `tell`, but by the core itself, after the commit: nobody is told if it dies in between. For what is looked
        for now and then anyway: commits that tell wait for each other in the store.
        """
        ...


class Transaction(
    Edges,
    Accounts,
    TunnelBook,
    HandoverBook,
    OrderBook,
    ZoneBook,
    PlaceBook,
    ReportBook,
    DoctorBook,
    NewsDesk,
    Protocol,
):
    """What one piece of work sees and changes: all of it or nothing."""


class Ledger(Protocol):
    def transact(
        self, work: Callable[[Transaction], Coroutine[Deferred[Any], Any, T]], *, repeatable: bool = True
    ) -> Deferred[T]:
        """
        Run *work* in one transaction and give its answer. What it raises undoes everything.

        It may run more than once, each time from the start. A piece of work that must not be done twice says so
        with *repeatable*: then it is given up when the store is lost at the moment of the commit.
        Fails with what *work* raises, `LedgerAway` or `LedgerError`.
        """
        ...

    def look(self, work: Callable[[Transaction], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        """As `transact`, for *work* that only reads, and by one statement: it costs one way to the store and back."""
        ...

    def check(self) -> Deferred[None]:
        """Fires when the store has answered. Fails with `LedgerAway`."""
        ...
