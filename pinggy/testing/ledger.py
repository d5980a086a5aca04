"""
A ledger in memory, for tests: what `pinggy.core.postgres` does, without anything that waits.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pinggy.core.account_book import TokenEntry
from pinggy.core.doctor_book import EdgeSeen, SeenForwarding, TunnelSeen
from pinggy.core.handovers import Handover
from pinggy.core.ledger import (
    Claim,
    Crowd,
    EdgeEntry,
    EdgeStart,
    Ended,
    Held,
    Holder,
    Ledger,
    LedgerAway,
    NewOrder,
    NewTunnel,
    Transaction,
    TunnelEntry,
)
from pinggy.core.migrations import load_migrations
from pinggy.core.news import Bulletin, Item, News, OrdersWritten
from pinggy.core.place_book import Moved, Whereabouts
from pinggy.core.report_book import MOST_NOTED, Fate, HeldName, Reported
from pinggy.core.zone_book import Entry, OwnedName, Region
from pinggy.tunnel.endings import ClientLeft, LeaseLost
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.refusals import Refusal
from pinggy.wire import operator
from pinggy.wire.messages import Lost, Usage
from pinggy.wire.orders import Order, kept, unkept
from pinggy.wire.places import Place

T = TypeVar("T")


@dataclass(slots=True)
class _Edge:
    entry: EdgeEntry
    addresses: tuple[str, ...]
    place: operator.PlaceEdge
    created: float
    instance: str | None = None
    seen: float | None = None
    host_keys: tuple[str, ...] = ()
    relay_port: int | None = None
    given: int = 0
    orders: list[Order] = field(default_factory=list)
    written: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Token:
    entry: TokenEntry
    comment: str
    created: float
    revoked: float | None = None


@dataclass(slots=True)
class _Tunnel:
    new: NewTunnel
    instance: str | None
    started: float
    lease: float
    expires: float | None
    usage: Usage
    held: dict[int, Held] = field(default_factory=dict)
    since: dict[int, float] = field(default_factory=dict)
    live: set[int] = field(default_factory=set)
    past: list[tuple[Forwarding, float]] = field(default_factory=list)


@dataclass(slots=True)
class _Ended:
    tunnel: _Tunnel
    reason: Refusal
    ended: float


@dataclass(frozen=True, slots=True)
class _Noted:
    at: float
    held: int
    differences: tuple[str, ...]


@dataclass(slots=True)
class _Handover:
    old: Handover
    successor: str


@dataclass(slots=True)
class _Books:
    """Everything, copied before each transaction so that it can be undone."""

    accounts: dict[str, float] = field(default_factory=dict)
    tokens: dict[str, _Token] = field(default_factory=dict)
    keys: dict[str, operator.Key] = field(default_factory=dict)
    names: dict[str, operator.ReservedName] = field(default_factory=dict)
    ports: dict[int, operator.ReservedPort] = field(default_factory=dict)
    edges: dict[str, _Edge] = field(default_factory=dict)
    tunnels: dict[str, _Tunnel] = field(default_factory=dict)
    ended: dict[str, _Ended] = field(default_factory=dict)
    early: dict[str, float] = field(default_factory=dict)
    regions: dict[str, Region] = field(default_factory=dict)
    handovers: dict[str, _Handover] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    reports: dict[str, _Noted] = field(default_factory=dict)


class _Store:
    """One database: its books, its sequence, and the cores that hear what is told there."""

    def __init__(self) -> None:
        self.books = _Books()
        self.ledgers: list[MemoryLedger] = []
        self._epoch = 0

    def next_epoch(self) -> int:
        """Never undone, as a sequence of PostgreSQL."""
        self._epoch += 1
        return self._epoch

    def tell(self, bulletins: Sequence[Bulletin]) -> None:
        for each in bulletins:
            self.carry(each.text())

    def carry(self, text: str) -> None:
        for ledger in self.ledgers:
            ledger.arrived(text)


class MemoryLedger(Ledger):
    """
    With *away* it refuses like a database that does not answer. *news* is told what its transactions say, and what
    those of other cores do: of each ledger that was made with `beside`. With *deaf* nothing arrives from there. With
    *in_doubt* nobody hears of any commit: what may be repeated is done once more, from the start. Its own clock is
    *ahead* of ours by so many seconds.
    """

    def __init__(self, clock: IReactorTime, news: News | None = None, store: _Store | None = None) -> None:
        self._clock = clock
        self._news = news or News()
        self._store = store or _Store()
        self._store.ledgers.append(self)
        self._news.carry = self._carry
        self.away = False
        self.deaf = False
        self.in_doubt = False
        self.ahead = 0.0

    def beside(self, news: News) -> MemoryLedger:
        """That of another core, over the same books."""
        return MemoryLedger(self._clock, news, self._store)

    def _carry(self, text: str) -> None:
        if not self.deaf:
            self._store.carry(text)

    def arrived(self, text: str) -> None:
        if not self.deaf:
            self._news.arrived(text)

    def transact(
        self, work: Callable[[Transaction], Coroutine[Deferred[Any], Any, T]], *, repeatable: bool = True
    ) -> Deferred[T]:
        return Deferred.fromCoroutine(self._in_doubt(work) if self.in_doubt and repeatable else self._transact(work))

    async def _in_doubt(self, work: Callable[[Transaction], Coroutine[Deferred[Any], Any, T]]) -> T:
        await self._transact(work)
        return await self._transact(work)

    async def _transact(self, work: Callable[[Transaction], Coroutine[Deferred[Any], Any, T]]) -> T:
        if self.away:
            raise LedgerAway("The database does not answer.")
        before = copy.deepcopy(self._store.books)
        transaction = _MemoryTransaction(self._clock.seconds() + self.ahead, self._store, self._news)
        try:
            answer = await work(transaction)
        except BaseException:
            self._store.books = before
            raise
        self._news.committed(transaction.told)
        self._store.tell(transaction.told)
        self._news.say(*transaction.hints)
        return answer

    def look(self, work: Callable[[Transaction], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        return self.transact(work)

    def check(self) -> Deferred[None]:
        async def work(ledger: Transaction) -> None:
            pass

        return self.transact(work)


class _Paper:
    def __init__(self, now: float, store: _Store, news: News) -> None:
        self._now = now
        self._books = store.books
        self._next_epoch = store.next_epoch
        self._news = news
        self.told: list[Bulletin] = []
        self.hints: list[Item] = []

    async def tell(self, *items: Item) -> None:
        if items:
            self.told.append(self._news.bulletin(items))

    async def hint(self, *items: Item) -> None:
        self.hints += items


class _MemoryEdges(_Paper):
    async def edge_by_digest(self, digest: bytes) -> EdgeEntry | None:
        return next((each.entry for each in self._books.edges.values() if each.entry.digest == digest), None)

    async def register_edge(
        self, edge: str, instance: str, host_keys: Sequence[str], relay_port: int | None = None
    ) -> EdgeStart:
        book = self._books.edges.get(edge)
        anew = book is not None and book.instance != instance
        if book is not None:
            book.instance = instance
            book.seen = self._now
            book.host_keys = tuple(sorted(host_keys))
            book.relay_port = relay_port
            book.entry = replace(book.entry, draining=False)
        mine = (each for each in self._books.tunnels.values() if each.new.edge == edge)
        return EdgeStart(anew=anew, left=tuple(each.new.id for each in mine if each.instance != instance))

    async def set_draining(self, edge: str, draining: bool, instance: str | None = None) -> bool:
        book = self._books.edges.get(edge)
        if book is None or (instance is not None and book.instance != instance):
            return False
        book.entry = replace(book.entry, draining=draining)
        return True

    async def regions(self) -> frozenset[str]:
        return frozenset(each.entry.region for each in self._books.edges.values())

    async def edges(self) -> tuple[operator.Edge, ...]:
        return tuple(
            operator.Edge(
                name=name,
                region=edge.entry.region,
                addresses=edge.addresses,
                created=_iso(edge.created),
                seen=None if edge.seen is None else _iso(edge.seen),
                draining=edge.entry.draining,
                tunnels=sum(each.new.edge == name for each in self._books.tunnels.values()),
                latitude=edge.place.latitude,
                longitude=edge.place.longitude,
                aws_region=edge.place.aws_region,
            )
            for name, edge in sorted(self._books.edges.items())
        )

    async def add_edge(self, edge: operator.AddEdge, digest: bytes) -> bool:
        if edge.name in self._books.edges:
            return False
        entry = EdgeEntry(name=edge.name, region=edge.region, digest=digest)
        self._books.edges[edge.name] = _Edge(entry, edge.addresses, _place(edge), self._now)
        return True

    async def change_edge(self, edge: operator.AddEdge, digest: bytes) -> None:
        known = self._books.edges[edge.name]
        known.entry = replace(known.entry, region=edge.region, digest=digest)
        known.addresses = edge.addresses
        known.place = _place(edge)

    async def place_edge(self, edge: operator.PlaceEdge) -> bool:
        known = self._books.edges.get(edge.name)
        if known is not None:
            known.place = edge
        return known is not None

    async def host_keys(self, within: float) -> dict[str, tuple[str, ...]]:
        return {
            name: edge.host_keys
            for name, edge in sorted(self._books.edges.items())
            if edge.host_keys and edge.seen is not None and edge.seen > self._now - within
        }

    async def remove_edge(self, name: str) -> bool:
        return self._books.edges.pop(name, None) is not None


class _MemoryAccounts(_Paper):
    async def has_account(self, name: str) -> bool:
        return name in self._books.accounts

    async def accounts(self) -> tuple[operator.Account, ...]:
        return tuple(
            operator.Account(
                name=name,
                created=_iso(created),
                tokens=sum(each.entry.account == name and each.revoked is None for each in self._books.tokens.values()),
                names=sum(each.account == name for each in self._books.names.values()),
                tunnels=sum(each.new.identity.account == name for each in self._books.tunnels.values()),
            )
            for name, created in sorted(self._books.accounts.items())
        )

    async def add_account(self, name: str) -> bool:
        return _add(self._books.accounts, name, self._now)

    async def token(self, prefix: str) -> TokenEntry | None:
        token = self._books.tokens.get(prefix)
        return None if token is None else token.entry

    async def tokens(self, account: str | None) -> tuple[operator.TokenRow, ...]:
        return tuple(
            operator.TokenRow(
                prefix=prefix,
                account=token.entry.account,
                comment=token.comment,
                created=_iso(token.created),
                revoked=None if token.revoked is None else _iso(token.revoked),
                newest_wins=token.entry.newest_wins,
            )
            for prefix, token in sorted(self._books.tokens.items(), key=lambda item: item[1].entry.account)
            if account in (None, token.entry.account)
        )

    async def add_token(
        self, prefix: str, digest: bytes, account: str, comment: str, newest_wins: bool = False
    ) -> bool:
        entry = TokenEntry(prefix=prefix, digest=digest, account=account, revoked=False, newest_wins=newest_wins)
        return _add(self._books.tokens, prefix, _Token(entry, comment, self._now))

    async def set_token(self, prefix: str, newest_wins: bool) -> bool:
        token = self._books.tokens.get(prefix)
        if token is None:
            return False
        token.entry = replace(token.entry, newest_wins=newest_wins)
        return True

    async def revoke_token(self, prefix: str) -> bool:
        token = self._books.tokens.get(prefix)
        if token is None:
            return False
        token.entry = replace(token.entry, revoked=True)
        token.revoked = token.revoked or self._now
        return True

    async def account_of_key(self, fingerprint: str) -> str | None:
        key = self._books.keys.get(fingerprint)
        return None if key is None else key.account

    async def keys(self, account: str | None) -> tuple[operator.Key, ...]:
        return tuple(each for each in self._books.keys.values() if account in (None, each.account))

    async def add_key(self, account: str, fingerprint: str, kind: str, comment: str) -> bool:
        key = operator.Key(
            fingerprint=fingerprint, account=account, type=kind, comment=comment, created=_iso(self._now)
        )
        return _add(self._books.keys, fingerprint, key)

    async def remove_key(self, fingerprint: str) -> bool:
        return self._books.keys.pop(fingerprint, None) is not None

    async def account_of_name(self, name: str) -> str | None:
        reserved = self._books.names.get(name)
        return None if reserved is None else reserved.account

    async def names(self, account: str | None) -> tuple[operator.ReservedName, ...]:
        return tuple(each for each in self._books.names.values() if account in (None, each.account))

    async def reserve_name(self, account: str, name: str) -> bool:
        reserved = operator.ReservedName(name=name, account=account, created=_iso(self._now))
        return _add(self._books.names, name, reserved)

    async def free_name(self, name: str) -> bool:
        return self._books.names.pop(name, None) is not None

    async def account_of_port(self, port: int) -> str | None:
        reserved = self._books.ports.get(port)
        return None if reserved is None else reserved.account

    async def ports(self, account: str | None) -> tuple[operator.ReservedPort, ...]:
        return tuple(each for each in self._books.ports.values() if account in (None, each.account))

    async def reserve_port(self, account: str, port: int) -> bool:
        reserved = operator.ReservedPort(port=port, account=account, created=_iso(self._now))
        return _add(self._books.ports, port, reserved)

    async def free_port(self, port: int) -> bool:
        return self._books.ports.pop(port, None) is not None


class _MemoryTunnelBook(_Paper):
    async def lock(self, *subjects: str) -> None:
        """Every transaction has everything for itself."""

    async def tunnel(self, tunnel: str) -> TunnelEntry | None:
        live = self._books.tunnels.get(tunnel)
        return (
            None
            if live is None
            else TunnelEntry(
                id=tunnel,
                edge=live.new.edge,
                identity=live.new.identity,
                address=live.new.address,
                expires_in=None if live.expires is None else live.expires - self._now,
            )
        )

    async def add_tunnel(self, tunnel: NewTunnel) -> None:
        self._books.tunnels[tunnel.id] = _Tunnel(
            new=tunnel,
            instance=self._books.edges[tunnel.edge].instance,
            started=self._now,
            lease=self._now + tunnel.lease,
            expires=None if tunnel.expires_in is None else self._now + tunnel.expires_in,
            usage=Usage(tunnel=tunnel.id),
        )

    async def forget_tunnel(self, tunnel: str) -> None:
        del self._books.tunnels[tunnel]

    async def extend_lease(self, tunnel: str, lease: float) -> None:
        self._books.tunnels[tunnel].lease = self._now + lease

    async def crowd(self, account: str | None, subnet: str) -> Crowd:
        live = list(self._books.tunnels.values())

        def is_theirs(tunnel: _Tunnel) -> bool:
            whose = tunnel.new.identity.account
            return whose == account and (account is not None or tunnel.new.subnet == subnet)

        here = [*live, *(ended.tunnel for ended in self._books.ended.values())]
        return Crowd(
            of_account=sum(account is not None and each.new.identity.account == account for each in live),
            anonymous_of_subnet=sum(each.new.subnet == subnet and each.new.identity.account is None for each in live),
            new=sum(is_theirs(each) and each.started > self._now - 60 for each in here),
        )

    async def end_of(self, tunnel: str) -> Refusal | None:
        if tunnel in self._books.ended:
            return self._books.ended[tunnel].reason
        return ClientLeft.of() if tunnel in self._books.early else None

    async def end(self, tunnels: Collection[str], reason: Refusal) -> tuple[Ended, ...]:
        were_live = [self._books.tunnels.pop(each) for each in sorted(set(tunnels)) if each in self._books.tunnels]
        for each in were_live:
            self._books.ended[each.new.id] = _Ended(each, reason, self._now)
        return tuple(
            Ended(
                tunnel=each.new.id,
                edge=each.new.edge,
                region=self._books.edges[each.new.edge].entry.region,
                forwardings=tuple(held.forwarding for _, held in sorted(each.held.items())),
            )
            for each in were_live
        )

    async def forwardings(self, tunnel: str) -> tuple[Held, ...]:
        return tuple(held for _, held in sorted(self._books.tunnels[tunnel].held.items()))

    async def claim(self, claim: Claim) -> int | None:
        for tunnel in self._books.tunnels.values():
            for held in tunnel.held.values():
                same_port = claim.port is not None and held.forwarding.port == claim.port
                if held.forwarding.name == claim.name or same_port:
                    return None
        return self._hold(claim)

    async def rename(self, tunnel: str, number: int, claim: Claim) -> int:
        await self.end_forwardings(tunnel, (number,))
        return self._hold(claim)

    def _hold(self, claim: Claim) -> int:
        epoch = self._next_epoch()
        forwarding = Forwarding(number=claim.number, kind=claim.kind, name=claim.name, epoch=epoch, port=claim.port)
        self._books.tunnels[claim.tunnel].held[claim.number] = Held(forwarding=forwarding, named=claim.named)
        self._books.tunnels[claim.tunnel].since[claim.number] = self._now
        return epoch

    async def end_forwardings(self, tunnel: str, numbers: Collection[int]) -> None:
        book = self._books.tunnels[tunnel]
        for number in numbers:
            held = book.held.pop(number, None)
            if held is not None:
                book.past.append((held.forwarding, self._now))
            book.live.discard(number)

    async def holder_of_name(self, name: str) -> Holder | None:
        return self._holder(lambda forwarding: forwarding.name == name)

    async def holder_of_port(self, port: int) -> Holder | None:
        return self._holder(lambda forwarding: forwarding.port == port)

    def _holder(self, matches: Callable[[Forwarding], bool]) -> Holder | None:
        for tunnel in self._books.tunnels.values():
            if any(matches(held.forwarding) for held in tunnel.held.values()):
                return Holder(
                    tunnel=tunnel.new.id,
                    identity=tunnel.new.identity,
                    edge=tunnel.new.edge,
                    lease_over=tunnel.lease < self._now,
                )
        return None

    async def any_port(self, first: int, last: int, avoid: Collection[int]) -> int | None:
        held = {held.forwarding.port for tunnel in self._books.tunnels.values() for held in tunnel.held.values()}
        free = set(range(first, last + 1)) - held - set(self._books.ports) - set(avoid)
        return random.choice(sorted(free)) if free else None  # noqa: S311

    async def set_live(self, tunnel: str, numbers: Collection[int]) -> tuple[str, ...]:
        book = self._books.tunnels[tunnel]
        new = sorted(set(numbers) & set(book.held) - book.live)
        book.live.update(new)
        return tuple(book.held[number].forwarding.name for number in new)

    async def note_usage(self, usage: Usage) -> None:
        book = self._books.tunnels[usage.tunnel]
        book.usage = Usage(
            tunnel=usage.tunnel,
            received=max(book.usage.received, usage.received),
            sent=max(book.usage.sent, usage.sent),
            visitors=max(book.usage.visitors, usage.visitors),
        )

    async def release_early(self, edge: str, tunnel: str) -> None:
        self._books.early.setdefault(tunnel, self._now)

    async def renew(self, edge: str, usages: Sequence[Usage], lease: float) -> tuple[Lost, ...]:
        self._books.edges[edge].seen = self._now
        lost = []
        for usage in usages:
            book = self._books.tunnels.get(usage.tunnel)
            if book is not None and book.new.edge == edge:
                await self.note_usage(usage)
                await self.extend_lease(usage.tunnel, lease)
                continue
            handover = self._books.handovers.get(usage.tunnel)
            if handover is not None and handover.old.edge == edge:
                continue
            ended = self._books.ended.get(usage.tunnel)
            reason = ended.reason if ended is not None and ended.tunnel.new.edge == edge else LeaseLost.of()
            lost.append(Lost(tunnel=usage.tunnel, code=reason.code, text=reason.text))
        return tuple(lost)

    async def clock(self) -> float:
        return self._now

    async def overdue(self, grace: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        lost, expired = [], []
        for id_, tunnel in self._books.tunnels.items():
            if tunnel.lease < self._now:
                lost.append(id_)
            elif tunnel.expires is not None and tunnel.expires < self._now - grace:
                expired.append(id_)
        return tuple(lost), tuple(expired)

    async def forget_old(self, early: float, history: float, orders: float) -> None:
        for edge in self._books.edges.values():
            edge.orders = [each for each in edge.orders if edge.written[each.number] >= self._now - orders]
        self._books.early = {key: at for key, at in self._books.early.items() if at >= self._now - early}
        self._books.ended = {
            key: ended for key, ended in self._books.ended.items() if ended.ended >= self._now - history
        }

    async def tunnels(self, account: str | None, history: bool) -> tuple[operator.TunnelRow, ...]:
        if history:
            rows = [_row(each.tunnel, each) for each in self._books.ended.values()]
        else:
            rows = [_row(each, None) for each in self._books.tunnels.values()]
        return tuple(each for each in reversed(rows) if account in (None, each.account))


class _MemoryHandovers(_Paper):
    async def hand_over(self, old: Handover, successor: str) -> None:
        for each in self._books.handovers.values():
            if each.successor == old.tunnel:
                each.successor = successor
        self._books.handovers[old.tunnel] = _Handover(old, successor)

    async def handovers(self, successor: str) -> tuple[Handover, ...]:
        found = (each.old for each in self._books.handovers.values() if each.successor == successor)
        return tuple(sorted(found, key=lambda old: old.tunnel))

    async def is_handed_over(self, tunnel: str, edge: str) -> bool:
        found = self._books.handovers.get(tunnel)
        return found is not None and found.old.edge == edge

    async def finish_handovers(self, successors: Collection[str]) -> tuple[Handover, ...]:
        return self._take(lambda each: each.successor in successors)

    async def finish_left_handovers(self) -> tuple[Handover, ...]:
        return self._take(lambda each: each.successor not in self._books.tunnels)

    async def drop_handovers(self, edge: str, tunnel: str | None = None) -> None:
        self._take(lambda each: each.old.edge == edge and tunnel in (None, each.old.tunnel))

    def _take(self, matches: Callable[[_Handover], bool]) -> tuple[Handover, ...]:
        found = [each for each in self._books.handovers.values() if matches(each)]
        for each in found:
            del self._books.handovers[each.old.tunnel]
        return tuple(sorted((each.old for each in found), key=lambda old: old.tunnel))


class _MemoryOrderBook(_Paper):
    async def order(self, orders: Sequence[NewOrder]) -> frozenset[str]:
        for each in orders:
            edge = self._books.edges[each.edge]
            edge.given += 1
            edge.orders.append(unkept(kept(each.order), edge.given))
            edge.written[edge.given] = self._now
        edges = frozenset(each.edge for each in orders)
        if edges:
            await self.tell(OrdersWritten(edges=tuple(sorted(edges))))
        return edges

    async def begin_orders(self, edge: str, anew: bool) -> int:
        book = self._books.edges[edge]
        if anew:
            book.orders.clear()
        return book.orders[0].number - 1 if book.orders else book.given

    async def orders(self, edge: str, instance: str, after: int, most: int) -> tuple[Order, ...] | None:
        book = self._books.edges.get(edge)
        if book is None or book.instance != instance:
            return None
        if after <= book.given:
            book.orders = [each for each in book.orders if each.number > after]
        return tuple(book.orders[:most])


class _MemoryZoneBook(_Paper):
    async def owned_names(self, labels: Collection[str] | None) -> tuple[OwnedName, ...]:
        return tuple(
            OwnedName(
                label=held.forwarding.name,
                region=self._books.edges[tunnel.new.edge].entry.region,
                epoch=held.forwarding.epoch,
                tunnel=tunnel.new.id,
                age=self._now - tunnel.since[number],
            )
            for tunnel in self._books.tunnels.values()
            for number, held in tunnel.held.items()
            if labels is None or held.forwarding.name in labels
        )

    async def left_names(self, tunnels: Collection[str]) -> dict[str, int]:
        owned = {each.label for each in await self.owned_names(None)}
        left: dict[str, int] = {}
        for tunnel in tunnels:
            if tunnel in self._books.ended:
                book = self._books.ended[tunnel].tunnel
                past = [forwarding for forwarding, _ in book.past]
                for forwarding in [*past, *(held.forwarding for held in book.held.values())]:
                    if forwarding.name not in owned:
                        left[forwarding.name] = max(forwarding.epoch, left.get(forwarding.name, 0))
        return left

    async def disowned(self, labels: Collection[str]) -> dict[str, int]:
        owned = {each.label for each in await self.owned_names(labels)}
        owned |= {each.entry.region for each in self._books.edges.values()}
        return {label: self._next_epoch() for label in sorted(labels) if label not in owned}

    async def regions_settled(self) -> tuple[Region, ...]:
        addresses: dict[str, set[str]] = {name: set() for name in self._books.regions}
        edges = [each.entry for each in self._books.edges.values()]
        served = {each.region for each in edges if not each.draining}
        for edge in self._books.edges.values():
            found = addresses.setdefault(edge.entry.region, set())
            if not edge.entry.draining or edge.entry.region not in served:
                found.update(edge.addresses)
        for name, found in addresses.items():
            known = self._books.regions.get(name)
            if known is None or known.addresses != tuple(sorted(found)):
                self._books.regions[name] = Region(name=name, addresses=tuple(sorted(found)), epoch=self._next_epoch())
        return tuple(region for _, region in sorted(self._books.regions.items()))

    async def entries_settled(self, name: str | None, port: int) -> tuple[Entry, ...]:
        edges = list(self._books.edges.values())
        serving = [each for each in edges if not each.entry.draining] or edges
        now: dict[str, tuple[int, tuple[str, ...]]] = {
            known.name: (known.port, ()) for known in self._books.entries.values()
        }
        if name is not None:
            now[name] = (port, tuple(sorted({address for each in serving for address in each.addresses})))
        for each, (at, addresses) in now.items():
            known = self._books.entries.get(each)
            if known is None or (known.port, known.addresses) != (at, addresses):
                self._books.entries[each] = Entry(name=each, port=at, addresses=addresses, epoch=self._next_epoch())
        return tuple(entry for _, entry in sorted(self._books.entries.items()))


class _MemoryPlaceBook(_Paper):
    async def whereabouts(self, name: str) -> Whereabouts:
        found = Whereabouts()
        past = [each for each in self._past() if each[0].name == name]
        if past:
            forwarding, ended, _, code = max(past, key=lambda each: each[0].epoch)
            found = Whereabouts(left=code, left_since=self._now - ended, left_epoch=forwarding.epoch)
        for tunnel in self._books.tunnels.values():
            for number, held in tunnel.held.items():
                if held.forwarding.name == name:
                    place = self._place(tunnel, held.forwarding)
                    found = replace(found, epoch=held.forwarding.epoch, live=number in tunnel.live, place=place)
        return found

    async def moved(self, tunnel: str, numbers: Collection[int]) -> tuple[Moved, ...]:
        book = self._books.tunnels[tunnel]
        region = self._books.edges[book.new.edge].entry.region
        moved = []
        for number in sorted(set(numbers) & set(book.held)):
            forwarding = book.held[number].forwarding
            place = self._place(book, forwarding)
            if place is None:
                continue
            has_port = forwarding.port is not None
            left = {
                edge
                for past, ended, edge, code in self._past()
                if past.name == forwarding.name and ended > self._now - 60 and edge != place.edge and code is not None
            }
            moved.append(
                Moved(
                    place=place,
                    left=tuple(sorted(each for each in left if self._relays(each, region if has_port else None))),
                    neighbours=await self.neighbours(place.edge) if has_port else (),
                )
            )
        return tuple(moved)

    async def neighbours(self, edge: str) -> tuple[str, ...]:
        region = self._books.edges[edge].entry.region
        return tuple(
            name
            for name, each in sorted(self._books.edges.items())
            if name != edge and each.entry.region == region and each.relay_port is not None
        )

    async def ports_near(self, edge: str) -> tuple[Place, ...]:
        near = await self.neighbours(edge)
        places = [
            self._place(tunnel, held.forwarding)
            for tunnel in self._books.tunnels.values()
            for number, held in tunnel.held.items()
            if tunnel.new.edge in near and held.forwarding.port is not None and number in tunnel.live
        ]
        return tuple(sorted((each for each in places if each is not None), key=lambda each: each.public_port or 0))

    def _relays(self, edge: str, outside: str | None) -> bool:
        book = self._books.edges.get(edge)
        return book is not None and book.relay_port is not None and book.entry.region != outside

    def _place(self, tunnel: _Tunnel, forwarding: Forwarding) -> Place | None:
        edge = self._books.edges[tunnel.new.edge]
        if edge.relay_port is None:
            return None
        return Place(
            name=forwarding.name,
            kind=forwarding.kind,
            epoch=forwarding.epoch,
            edge=tunnel.new.edge,
            host=edge.addresses[0],
            port=edge.relay_port,
            public_port=forwarding.port,
        )

    def _past(self) -> list[tuple[Forwarding, float, str, str | None]]:
        """Forwardings that have ended, when, at which edge, and why where their tunnel has."""
        past: list[tuple[Forwarding, float, str, str | None]] = []
        for tunnel in self._books.tunnels.values():
            past += [(forwarding, at, tunnel.new.edge, None) for forwarding, at in tunnel.past]
        for ended in self._books.ended.values():
            tunnel, code = ended.tunnel, ended.reason.code
            past += [(forwarding, at, tunnel.new.edge, code) for forwarding, at in tunnel.past]
            past += [(held.forwarding, ended.ended, tunnel.new.edge, code) for held in tunnel.held.values()]
        return past


class _MemoryReportBook(_Paper):
    async def held_at(self, edge: str, instance: str, after: str, upto: str | None) -> tuple[HeldName, ...] | None:
        book = self._books.edges.get(edge)
        if book is None or book.instance != instance:
            return None
        return tuple(
            HeldName(
                tunnel=tunnel.new.id,
                number=number,
                name=held.forwarding.name,
                epoch=held.forwarding.epoch,
                live=number in tunnel.live,
                age=self._now - tunnel.since[number],
            )
            for tunnel in self._books.tunnels.values()
            for number, held in tunnel.held.items()
            if tunnel.new.edge == edge
            and after < held.forwarding.name
            and (upto is None or held.forwarding.name <= upto)
        )

    async def fates(self, edge: str, tunnels: Collection[str]) -> dict[str, Fate | None]:
        gone = [
            each for each in tunnels if each not in self._books.tunnels or self._books.tunnels[each].new.edge != edge
        ]
        return {each: self._fate(edge, self._books.ended.get(each)) for each in gone}

    def _fate(self, edge: str, ended: _Ended | None) -> Fate | None:
        if ended is None or ended.tunnel.new.edge != edge:
            return None
        waits = ended.tunnel.new.id in self._books.handovers
        return Fate(reason=ended.reason, ago=0.0 if waits else self._now - ended.ended)

    async def note_report(self, edge: str, held: int, differences: Sequence[str], more: bool) -> None:
        noted = self._books.reports.get(edge)
        if more and noted is not None:
            held, differences = held + noted.held, (*noted.differences, *differences)
        self._books.reports[edge] = _Noted(self._now, held, tuple(differences[:MOST_NOTED]))

    async def reported(self) -> tuple[Reported, ...]:
        return tuple(
            Reported(edge=edge, age=self._now - noted.at, held=noted.held, differences=noted.differences)
            for edge, noted in sorted(self._books.reports.items())
            if edge in self._books.edges
        )


class _MemoryDoctorBook(_Paper):
    async def schema(self) -> int:
        return load_migrations()[-1].number

    async def edges_seen(self) -> tuple[EdgeSeen, ...]:
        return tuple(self._edge_seen(name, edge) for name, edge in sorted(self._books.edges.items()))

    def _edge_seen(self, name: str, edge: _Edge) -> EdgeSeen:
        leases = [each.lease - self._now for each in self._books.tunnels.values() if each.new.edge == name]
        return EdgeSeen(
            name=name,
            region=edge.entry.region,
            addresses=edge.addresses,
            heard=None if edge.seen is None else self._now - edge.seen,
            draining=edge.entry.draining,
            relay_port=edge.relay_port,
            host_keys=edge.host_keys,
            tunnels=len(leases),
            lease=min(leases, default=None),
        )

    async def tunnels_like(self, prefix: str) -> tuple[str, ...]:
        return tuple(sorted(each for each in self._books.tunnels if each.startswith(prefix))[:2])

    async def tunnel_seen(self, tunnel: str) -> TunnelSeen | None:
        book = self._books.tunnels.get(tunnel)
        if book is None:
            return None
        edge = self._books.edges[book.new.edge]
        return TunnelSeen(
            id=tunnel,
            account=book.new.identity.account,
            address=book.new.address,
            edge=book.new.edge,
            region=edge.entry.region,
            addresses=edge.addresses,
            age=self._now - book.started,
            lease=book.lease - self._now,
            forwardings=tuple(
                SeenForwarding(forwarding=held.forwarding, live=number in book.live, age=self._now - book.since[number])
                for number, held in sorted(book.held.items())
            ),
        )


class _MemoryTransaction(
    _MemoryEdges,
    _MemoryAccounts,
    _MemoryTunnelBook,
    _MemoryHandovers,
    _MemoryOrderBook,
    _MemoryZoneBook,
    _MemoryPlaceBook,
    _MemoryReportBook,
    _MemoryDoctorBook,
):
    """One transaction; nothing else goes on meanwhile."""


def _row(tunnel: _Tunnel, ended: _Ended | None) -> operator.TunnelRow:
    held = [each.forwarding for _, each in sorted(tunnel.held.items())]
    return operator.TunnelRow(
        tunnel=tunnel.new.id,
        account=tunnel.new.identity.account,
        edge=tunnel.new.edge,
        address=tunnel.new.address,
        forwardings=tuple(_shown(each) for each in ([*(past for past, _ in tunnel.past), *held] if ended else held)),
        started=_iso(tunnel.started),
        live=ended is None and bool(tunnel.live),
        received=tunnel.usage.received,
        sent=tunnel.usage.sent,
        visitors=tunnel.usage.visitors,
        ended=None if ended is None else _iso(ended.ended),
        reason=None if ended is None else ended.reason.code,
    )


def _shown(forwarding: Forwarding) -> str:
    port = "" if forwarding.port is None else f":{forwarding.port}"
    return f"{forwarding.kind.value} {forwarding.name}{port}"


def _place(edge: operator.AddEdge) -> operator.PlaceEdge:
    return operator.PlaceEdge(
        name=edge.name, latitude=edge.latitude, longitude=edge.longitude, aws_region=edge.aws_region
    )


def _add(table: dict[Any, Any], key: Any, value: Any) -> bool:
    if key in table:
        return False
    table[key] = value
    return True


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
