"""
When a core believes that a lease is over, and how often it looks again before it answers.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from pinggy.core.ledger import Holder, LedgerAway
from pinggy.core.patience import Patience
from pinggy.core.takeover import How, Outcome, settle
from pinggy.testing.core import FakeCore, now
from pinggy.tunnel.grant import ANONYMOUS, Identity, Limits
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Authorize, Authorized, ByToken, Granted, Register, Renew, Usage, Want

OLD = "1" * 32


# -- leases -------------------------------------------------------------------------------------------------------


class Busy:
    """*OLD* holds the name blog at the edge e1, which says nothing more; its account asks for it at e2."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.core = FakeCore(self.clock)
        self.token = self.core.account("ann", names=("blog",))
        self.edge, self.far = self.core.client("e1"), self.core.client("e2", "eu")
        now(self.edge.register(Register(instance="i")))
        now(self.edge.authorize(self.claim(OLD)))

    def claim(self, tunnel: str) -> Authorize:
        return Authorize(
            tunnel=tunnel,
            credential=ByToken(token=self.token),
            address="192.0.2.1",
            wants=(Want(number=1, kind=Kind.HTTP, name="blog"),),
        )

    def run(self, seconds: int) -> None:
        self.clock.pump([1] * seconds)

    def renew(self) -> None:
        now(self.edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=OLD),))))

    def is_had_at_once(self) -> bool:
        answers: list[Authorized] = []
        self.far.authorize(self.claim("2" * 32)).addCallback(answers.append)
        return any(isinstance(answer.results[0], Granted) for answer in answers)


def test_a_lease_that_is_over_loses_the_name_at_once_before_it_is_swept() -> None:
    busy = Busy()
    busy.core.sweep.start()
    busy.run(3)
    busy.renew()
    # It is over at 33, and swept at 35.
    busy.run(31)
    assert len(now(busy.core.operator.tunnels()).tunnels) == 1
    assert busy.is_had_at_once()
    (row,) = now(busy.core.operator.tunnels(history=True)).tunnels
    assert (row.tunnel, row.reason) == (OLD, "edge-cut-off")
    now(busy.core.sweep.stop())


def test_a_lease_that_is_not_over_is_asked_about() -> None:
    busy = Busy()
    busy.core.sweep.start()
    busy.run(3)
    busy.renew()
    busy.run(29)
    assert not busy.is_had_at_once()
    now(busy.core.sweep.stop())
    busy.run(5)


def test_a_core_that_has_just_started_does_not_believe_it() -> None:
    busy = Busy()
    busy.run(40)
    busy.core.sweep.start()
    busy.run(29)
    assert not busy.is_had_at_once()
    now(busy.core.sweep.stop())
    busy.run(5)


def test_patience_is_a_whole_lease_without_a_pause() -> None:
    clock = Clock()
    patience = Patience(clock, 30)
    assert not patience.is_over
    patience.begin()
    for _ in range(5):
        clock.advance(5)
        patience.beat()
    assert not patience.is_over
    clock.advance(5)
    assert patience.is_over
    # It stands still: what it believes then is old.
    clock.advance(100)
    assert not patience.is_over
    patience.beat()
    assert not patience.is_over
    for _ in range(6):
        clock.advance(5)
        patience.beat()
    assert patience.is_over


def test_patience_is_lost_with_the_database_and_begins_anew_with_it() -> None:
    clock = Clock()
    patience = Patience(clock, 30)
    patience.begin()
    for _ in range(6):
        clock.advance(5)
        patience.beat()
    patience.lose()
    clock.advance(5)
    patience.beat()
    clock.advance(100)
    patience.beat()
    assert not patience.is_over
    patience.begin()
    assert not patience.is_over


# -- rounds -------------------------------------------------------------------------------------------------------


def held_by(number: int) -> Holder:
    return Holder(tunnel=f"{number:032x}", identity=ANONYMOUS, edge="e1", lease_over=False)


class Claims:
    """Each transaction of these meets a new holder; *asked* are those that were probed."""

    def __init__(self, *hows: How | None) -> None:
        self._hows = hows
        self.gone: list[dict[str, How]] = []
        self.asked: list[str] = []

    def run(self, gone: Mapping[str, How]) -> Deferred[Outcome]:
        self.gone.append(dict(gone))
        answer = Authorized(
            identity=Identity(account=str(len(self.gone)), label=""),
            limits=Limits(forwardings=1, channels=1),
            results=(),
        )
        return succeed(Outcome(answer=answer, met=(held_by(0), held_by(len(self.gone)))))

    def ask(self, holder: Holder) -> Deferred[How | None]:
        self.asked.append(holder.tunnel)
        return succeed(self._hows[int(holder.tunnel, 16)])


def test_where_all_holders_live_the_first_answer_stands() -> None:
    claims = Claims(None, None)
    assert now(Deferred.fromCoroutine(settle(claims.run, claims))).identity.account == "1"
    assert claims.gone == [{}]


def test_whoever_is_met_again_is_not_asked_again_and_what_is_gone_is_told() -> None:
    claims = Claims(None, How.DEAD, None)
    assert now(Deferred.fromCoroutine(settle(claims.run, claims))).identity.account == "2"
    assert claims.asked == [held_by(number).tunnel for number in (0, 1, 2)]
    assert claims.gone == [{}, {held_by(1).tunnel: How.DEAD}]


def test_rounds_have_an_end() -> None:
    claims = Claims(None, *[How.DEAD] * 99)
    answer = now(Deferred.fromCoroutine(settle(claims.run, claims)))
    assert answer.identity.account == str(len(claims.gone))
    assert len(claims.gone) < 10


def test_a_database_that_is_lost_while_holders_are_asked_is_said_to_be_away() -> None:
    class Lost(Claims):
        def ask(self, holder: Holder) -> Deferred[How | None]:
            return fail(LedgerAway("The database does not answer."))

    claims = Lost()
    with pytest.raises(LedgerAway):
        now(Deferred.fromCoroutine(settle(claims.run, claims)))
