"""
A core in memory, for tests of edges: the real rules over `MemoryLedger`, and a `CoreClient` for each edge.

Every Deferred has fired when it is returned, unless the core is held. tests/contracts/test_core.py runs one suite
against this and against the real one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from pinggy.core.asks import Asks
from pinggy.core.authority import Authority, digest_of
from pinggy.core.config import CoreSettings, DatabaseSettings
from pinggy.core.doctor.core import Papers
from pinggy.core.doctor.doctor import make_doctor
from pinggy.core.drain import Drains
from pinggy.core.ledger import EdgeEntry
from pinggy.core.news import News
from pinggy.core.operator import Operator
from pinggy.core.orders import OrderDesk
from pinggy.core.patience import Patience
from pinggy.core.places import Places
from pinggy.core.probes import ProbeDesk
from pinggy.core.reconcile import Reconciler
from pinggy.core.records import Records
from pinggy.core.relay_ca import RelayAuthority, certified
from pinggy.core.sweep import Sweep
from pinggy.core.tickets import Tickets
from pinggy.edge.core_client import CoreClient
from pinggy.settings import Secret
from pinggy.testing.ledger import MemoryLedger
from pinggy.tunnel.grant import Identity
from pinggy.tunnel.refusals import CoreAway, Refusal
from pinggy.wire import codec, operator
from pinggy.wire.messages import (
    Authorize,
    Authorized,
    Credential,
    Done,
    Draining,
    Identify,
    Live,
    Register,
    Registered,
    Release,
    Renew,
    Renewed,
    Report,
)
from pinggy.wire.orders import AskOrders, Examined, Orders, Probed
from pinggy.wire.places import Certified, Certify, Place, Where

M = TypeVar("M")
A = TypeVar("A")

SETTINGS = CoreSettings(
    domain="a.example",
    operator_key=Secret("the operator's key of the tests"),
    database=DatabaseSettings(url=Secret("postgresql://nowhere")),
)


class FakeCore:
    """
    *operator* is the operator's side, with the real methods; `account` is the short way to a token. *news*, *records*
    and *ledger* are for who keeps the zone.

    With *away* every call fails with `CoreAway`, and so does a poll for orders that waits. Between `hold` and `let_go`
    no call is answered, nor done: it is when it is let go. A poll that waited already is answered then. With *key* it
    signs its grants, with *relay_authority* the certificates of edges. *wall* tells Unix time.
    """

    def __init__(
        self,
        clock: IReactorTime,
        settings: CoreSettings = SETTINGS,
        key: Ed25519PrivateKey | None = None,
        relay_authority: RelayAuthority | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.news = news = News()
        self.ledger = MemoryLedger(clock, news)
        self.records = Records(settings.domain, key)
        self.desk = OrderDesk(clock, self.ledger, news)
        self.asks = Asks(clock, self.ledger, news, self.desk)
        patience = Patience(clock, settings.lease)
        probes = ProbeDesk(clock, self.asks, self.desk)
        self.authority = Authority(self.ledger, settings, self.records, probes, patience)
        self.tickets = Tickets(self.authority, key, settings.resume, wall)
        self.operator = Operator(self.ledger, settings)
        self.sweep = Sweep(clock, self.ledger, patience)
        self.doctor = make_doctor(clock, settings, self.ledger, self.records, self.asks, None, None, Papers())
        self.drains = Drains(self.ledger)
        self.places = Places(clock, self.ledger, news)
        self.relay_authority = relay_authority
        self.reconciler = Reconciler(clock, self.ledger, settings.report_interval)
        self._away = False
        self._held: list[Callable[[], object]] | None = None

    @property
    def away(self) -> bool:
        return self._away

    @away.setter
    def away(self, away: bool) -> None:
        self._away = away
        if away:
            self.desk.hang_up(CoreAway.of())

    def client(self, edge: str = "local", region: str = "local") -> CoreClient:
        """The client of an edge, which is added if there is none of this name."""
        secret = Secret(f"the secret of the edge {edge}")
        now(self.operator.ensure_edge(edge, region, ["127.0.0.1"], secret))
        return _FakeClient(self, EdgeEntry(name=edge, region=region, digest=digest_of(secret)), secret)

    def account(self, name: str, *, names: tuple[str, ...] = (), ports: tuple[int, ...] = ()) -> Secret:
        """A token of the account *name*, with these reservations."""
        now(self.operator.ensure_account(name))
        for label in names:
            now(self.operator.ensure_name(name, label))
        for port in ports:
            now(self.operator.reserve_port(operator.ReservePort(account=name, port=port)))
        return now(self.operator.add_token(operator.AddToken(account=name))).token

    def hold(self) -> None:
        self._held = []

    def let_go(self) -> None:
        held, self._held = self._held or [], None
        for call in held:
            call()

    def call(self, ask: Callable[[], Deferred[A]]) -> Deferred[A]:
        if self._held is not None:
            waiting: Deferred[A] = Deferred()
            self._held.append(lambda: None if waiting.called else self._call(ask).chainDeferred(waiting))
            return waiting
        return self._call(ask)

    def poll(self, edge: EdgeEntry, message: AskOrders) -> Deferred[Orders]:
        """A call that takes its time: it is cancelled with who asked, and its answer may be held."""
        asked: list[Deferred[Orders]] = []

        def leave(answer: Deferred[Orders]) -> None:
            answer.errback(CancelledError())
            for each in asked:
                each.cancel()

        answer: Deferred[Orders] = Deferred(leave)

        def tell(result: Any) -> None:
            if self._held is not None:
                self._held.append(lambda: tell(result))
            elif not answer.called:
                answer.callback(result)

        def ask() -> None:
            if not answer.called:
                asked.append(self._call(lambda: self.desk.ask(edge, message)))
                asked[0].addBoth(tell)

        if self._held is None:
            ask()
        else:
            self._held.append(ask)
        return answer

    def _call(self, ask: Callable[[], Deferred[A]]) -> Deferred[A]:
        if self.away:
            return fail(CoreAway.of())
        try:
            return ask()
        except Refusal:
            # A malformed message is refused at once by the rules; here as by the wire it is the answer.
            return fail()


class _FakeClient(CoreClient):
    def __init__(self, core: FakeCore, edge: EdgeEntry, secret: Secret) -> None:
        self._core = core
        self._edge = edge
        self._secret = secret

    def register(self, message: Register) -> Deferred[Registered]:
        return self._said(self._core.tickets.register, message)

    def identify(self, credential: Credential) -> Deferred[Identity]:
        message = _as_sent(Identify(credential=credential))
        return self._core.call(lambda: self._core.authority.identify(message.credential))

    def authorize(self, message: Authorize) -> Deferred[Authorized]:
        return self._said(self._core.tickets.authorize, message)

    def live(self, message: Live) -> Deferred[Done]:
        return self._said(self._core.authority.live, message)

    def renew(self, message: Renew) -> Deferred[Renewed]:
        return self._said(self._core.tickets.renew, message)

    def release(self, message: Release) -> Deferred[Done]:
        return self._said(self._core.authority.release, message)

    def draining(self, message: Draining) -> Deferred[Done]:
        return self._said(self._core.drains.said, message)

    def where(self, message: Where) -> Deferred[Place]:
        return self._said(self._core.places.where, message)

    def certify(self, message: Certify) -> Deferred[Certified]:
        def answer(edge: EdgeEntry, said: Certify) -> Deferred[Certified]:
            return succeed(certified(self._core.relay_authority, edge.name, said, datetime.now(UTC)))

        return self._said(answer, message)

    def examined(self, message: Examined) -> Deferred[Done]:
        return self._said(lambda edge, said: self._core.asks.answered(said.ask, said), message)

    def report(self, message: Report) -> Deferred[Done]:
        return self._said(self._core.reconciler.report, message)

    def probed(self, message: Probed) -> Deferred[Done]:
        return self._said(lambda edge, said: self._core.asks.answered(said.ask, said), message)

    def orders(self, message: AskOrders) -> Deferred[Orders]:
        return self._core.poll(self._edge, _as_sent(message))

    def _said(self, answer: Callable[[EdgeEntry, M], Deferred[A]], message: M) -> Deferred[A]:
        said = _as_sent(message)
        edge_of = self._core.authority.edge_of
        return self._core.call(lambda: edge_of(self._secret).addCallback(lambda edge: answer(edge, said)))


def _as_sent(message: M) -> M:
    """*message* after its way over the wire."""
    return codec.decode(type(message), codec.encode(message))


def now(answer: Deferred[A]) -> A:
    """What *answer*, which has fired, gave; or raise what it failed with."""
    got: list[Any] = []
    answer.addBoth(got.append)
    (result,) = got
    if hasattr(result, "raiseException"):
        result.raiseException()
    given: A = result
    return given
