"""A client that comes back while the core does not answer has its tunnel again; afterwards all agree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import Deferred

from pinggy.edge.client_tunnel import SILENCE
from pinggy.edge.core_client import CoreClient
from pinggy.edge.dormant import PATIENCE
from pinggy.edge.renewal import Renewal
from pinggy.settings import Secret
from pinggy.testing.core import now
from pinggy.tunnel.refusals import CoreAway
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Authorize, ByToken, Live, Register, Want
from pinggy.wire.operator import AddKey
from tests.support.edges import EdgeInMemory, ed25519_key
from tests.support.ssh_pair import Pair, Session

LEASE = 30.0
AWAY = CoreAway.of().text
KEY = Ed25519PrivateKey.generate()


class Edge(EdgeInMemory):
    """An edge whose core signs tickets, and renews; and the account ``alice`` with her token."""

    def __init__(self) -> None:
        super().__init__(grant_key=KEY)
        self.renewal = Renewal(
            core=self.client,
            tunnels=self.tunnels,
            dormants=self.dormants,
            clock=self.clock,
            instance="one",
            lease=LEASE,
        )
        self.renewal.start()
        self.token = self.core.account("alice", names=("blog",)).reveal()
        self.joined: list[Pair] = []

    def start(self, *names: str, user: str | None = None) -> tuple[Pair, Session]:
        """A client that asks for the default, or for *names*."""
        pair = self.join(user or self.token)
        self.joined.append(pair)
        if pair.logged_in:
            for name in names or ("",):
                d = pair.forward(name, 1) if name else pair.forward()
                d.addErrback(lambda _: None)
            return pair, pair.session()
        return pair, Session(None)

    def pass_by(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.clock.advance(1)
            self.wall += 1
            for pair in self.joined:
                pair.flush()

    def back(self) -> None:
        """The core answers again, and has been asked."""
        self.core.away = False
        self.pass_by(LEASE / 3)

    def live(self) -> list[str]:
        """The names that are live in the ledger, with their tunnels."""
        return sorted(
            f"{row.tunnel} {each}" for row in now(self.core.operator.tunnels()).tunnels for each in row.forwardings
        )

    def end(self) -> None:
        self.renewal.stop()
        self.core.away = False
        for pair in self.joined:
            pair.vanish()
        now(Deferred.fromCoroutine(self.dormants.give_back_all()))
        self.close()


@pytest.fixture
def edge() -> Iterator[Edge]:
    made = Edge()
    yield made
    made.end()


def gone_while_away(edge: Edge, *names: str) -> str:
    """The id of a tunnel of alice's whose client has left while the core was away."""
    pair, _ = edge.start(*names)
    (tunnel,) = edge.tunnels
    edge.core.away = True
    pair.vanish()
    assert len(edge.tunnels) == 0
    return tunnel.id


def test_who_comes_back_has_the_tunnel_again_under_its_id_and_epoch(edge: Edge) -> None:
    tunnel = gone_while_away(edge)
    record = edge.zone.records["blog.a.example"]
    ledger = edge.live()
    pair, session = edge.start()
    assert session.lines == ["http://blog.a.example", "https://blog.a.example"]
    live = edge.tunnels.by_name("blog")
    assert live is not None
    assert (live.tunnel.id, live.forwarding.epoch) == (tunnel, record.epoch)
    assert edge.zone.records["blog.a.example"] == record
    assert len(edge.dormants) == 0
    edge.visit("blog")
    assert len(pair.connection.forwarded) == 1

    # Whoever asks for its client finds it.
    begun = edge.tunnels.begun(tunnel)
    assert begun is not None
    assert begun.client is live.tunnel.client

    # Back, they agree: it was renewed all along.
    edge.back()
    edge.pass_by(3 * LEASE)
    assert edge.live() == ledger
    assert session.status is None


def test_it_goes_on_for_as_long_as_the_core_is_away_also_once_more(edge: Edge) -> None:
    tunnel = gone_while_away(edge)
    for _ in range(3):
        pair, session = edge.start()
        edge.pass_by(100)
        assert session.lines[-1] == "https://blog.a.example"
        pair.vanish()
    live, _ = edge.start()
    assert [each.id for each in edge.tunnels] == [tunnel]
    edge.back()
    assert live.logged_in


def test_nobody_else_is_let_in_by_it(edge: Edge) -> None:
    # Another token of the same account is another credential.
    others = [edge.core.account("bob").reveal(), edge.core.account("alice").reveal()]
    gone_while_away(edge)
    for other in others:
        pair, _ = edge.start(user=other)
        assert not pair.logged_in
        assert pair.client.goodbye == AWAY
    guest, session = edge.start(user="guest")
    assert session.lines == [AWAY]
    assert len(edge.dormants) == 1
    assert guest.logged_in


def test_other_names_than_those_it_had_are_refused(edge: Edge) -> None:
    gone_while_away(edge, "one", "two")
    _, session = edge.start("two", "three")
    assert session.lines == ["http://two.a.example", "https://two.a.example", AWAY]
    assert edge.tunnels.by_name("one") is None
    # What it had and has not asked for yet is still its own.
    pair = edge.joined[-1]
    pair.forward("one", 1)
    pair.advance(0.02)
    assert session.lines[-1] == "https://one.a.example"
    assert len(edge.tunnels) == 1
    assert len(edge.dormants) == 0


def test_what_is_not_asked_for_again_is_given_back(edge: Edge) -> None:
    tunnel = gone_while_away(edge, "one", "two")
    _, session = edge.start("two")
    edge.back()
    edge.pass_by(PATIENCE + LEASE)
    assert edge.live() == [f"{tunnel} http two"]
    assert set(edge.zone.records) == {"two.a.example"}
    assert session.status is None


def test_a_later_forwarding_gets_a_number_of_its_own(edge: Edge) -> None:
    tunnel = gone_while_away(edge, "one", "two")
    pair, _ = edge.start("two", "one")
    edge.back()
    pair.forward("three", 1)
    pair.advance(0.02)
    edge.pass_by(LEASE)
    assert edge.live() == [f"{tunnel} http {name}" for name in ("one", "three", "two")]
    # Each is known by its own number: to cancel one leaves the others.
    pair.cancel_forward("one", 1)
    assert edge.live() == [f"{tunnel} http {name}" for name in ("three", "two")]


def test_nobody_comes_back_and_the_core_does(edge: Edge) -> None:
    tunnel = gone_while_away(edge)
    edge.core.away = False
    edge.pass_by(PATIENCE - 1)
    assert edge.live() == [f"{tunnel} http blog"]
    edge.pass_by(LEASE)
    assert edge.live() == []
    assert edge.zone.records == {}
    assert len(edge.dormants) == 0


def test_nobody_comes_back_before_the_ticket_is_over(edge: Edge) -> None:
    gone_while_away(edge)
    edge.pass_by(590)
    assert set(edge.zone.records) == {"blog.a.example"}
    edge.pass_by(20)
    assert edge.zone.records == {}
    pair, _ = edge.start()
    assert not pair.logged_in
    assert pair.client.goodbye == AWAY


def test_a_ticket_that_is_over_lets_nobody_in(edge: Edge) -> None:
    gone_while_away(edge)
    edge.wall += 601
    pair, _ = edge.start()
    assert not pair.logged_in


def test_tickets_of_long_tunnels_are_renewed(edge: Edge) -> None:
    pair, _ = edge.start()
    edge.pass_by(1200)
    edge.core.away = True
    pair.vanish()
    assert len(edge.dormants) == 1
    assert edge.start()[1].lines[-1] == "https://blog.a.example"


def test_a_newer_owner_in_the_ledger_closes_what_was_resumed(edge: Edge) -> None:
    gone_while_away(edge)
    _, session = edge.start()
    # Elsewhere, and by a core that this edge does not reach.
    far = edge.core.client("far", "far")
    edge.core.away = False
    taken_over(edge, far)
    edge.core.away = True
    edge.pass_by(5)
    assert session.lines[-1] == "https://blog.a.example"
    edge.back()
    assert session.lines[-1] == "Taken over: a newer session from 192.0.2.99 has started with force."


def taken_over(edge: Edge, far: CoreClient) -> None:
    """alice's name goes to a session at *far*, by force."""
    now(far.register(Register(instance="far")))
    tunnel = "f" * 32
    now(
        far.authorize(
            Authorize(
                tunnel=tunnel,
                credential=ByToken(token=Secret(edge.token)),
                address="192.0.2.99",
                wants=(Want(number=1, kind=Kind.HTTP),),
                force=True,
            )
        )
    )
    now(far.live(Live(tunnel=tunnel, numbers=(1,))))


def test_a_dormant_one_that_the_ledger_has_ended_is_forgotten(edge: Edge) -> None:
    gone_while_away(edge)
    (row,) = now(edge.core.operator.tunnels()).tunnels
    now(edge.core.operator.close_tunnel(row.tunnel))
    edge.back()
    assert len(edge.dormants) == 0
    assert edge.zone.records == {}


def test_a_key_lets_in_as_a_token_does(edge: Edge) -> None:
    line = ed25519_key().public().toString("OPENSSH").decode()
    now(edge.core.operator.add_key(AddKey(account="alice", line=line)))
    first = edge.join("key", key=ed25519_key())
    edge.joined.append(first)
    first.forward()
    first.session()
    edge.core.away = True
    first.vanish()
    assert len(edge.dormants) == 1
    second = edge.join("key", key=ed25519_key())
    edge.joined.append(second)
    second.forward()
    assert second.session().lines == ["http://blog.a.example", "https://blog.a.example"]


def test_with_the_core_there_nothing_is_kept(edge: Edge) -> None:
    pair, _ = edge.start()
    pair.vanish()
    assert len(edge.dormants) == 0
    assert edge.zone.records == {}
    assert edge.live() == []


def test_an_anonymous_tunnel_is_not_kept(edge: Edge) -> None:
    pair, _ = edge.start(user="guest")
    edge.core.away = True
    pair.vanish()
    assert len(edge.dormants) == 0
    assert edge.zone.records == {}


def test_a_resumption_that_comes_to_nothing_may_be_tried_again(edge: Edge) -> None:
    tunnel = gone_while_away(edge)
    edge.zone.fails = True
    _, session = edge.start()
    assert session.lines == ["The name could not be published in DNS: try again soon."]
    edge.zone.fails = False
    _, session = edge.start()
    assert session.lines[-1] == "https://blog.a.example"
    assert [each.id for each in edge.tunnels] == [tunnel]


def test_whoever_could_not_resume_a_tunnel_takes_nothing_from_who_can(edge: Edge) -> None:
    tunnel = gone_while_away(edge)
    edge.zone.fails = True
    # Without a terminal nothing ends it at once.
    failed = edge.join(edge.token)
    failed.forward().addErrback(lambda _: None)
    failed.advance(SILENCE)
    edge.zone.fails = False
    edge.start()
    assert [each.id for each in edge.tunnels] == [tunnel]
    edge.core.away = False
    failed.vanish()
    edge.pass_by(2 * LEASE)
    assert edge.live() == [f"{tunnel} http blog"]
    assert [each.id for each in edge.tunnels] == [tunnel]
    assert edge.tunnels.begun(tunnel) is not None


def test_what_is_left_of_a_tunnel_that_was_resumed_stays_with_it_where_its_publishing_fails(edge: Edge) -> None:
    tunnel = gone_while_away(edge, "blog", "shop")
    pair, _ = edge.start("blog")
    edge.zone.fails = True
    pair.forward("shop", 1).addErrback(lambda _: None)
    edge.pass_by(1)
    edge.zone.fails = False
    assert [each.forwarding.name for each in edge.tunnels.names()] == ["blog"]
    # Nobody else becomes the tunnel that has a client, and it is not given back as a whole.
    other, session = edge.start("shop")
    for each in (pair, other):
        each.flush()
    assert session.lines == [AWAY]
    other.vanish()
    edge.back()
    edge.pass_by(2 * PATIENCE + LEASE)
    assert [each.split()[0] for each in edge.live()] == [tunnel]
    assert [each.forwarding.name for each in edge.tunnels.names()] == ["blog"]


def test_what_it_had_carried_counts_on(edge: Edge) -> None:
    pair, _ = edge.start()
    (tunnel,) = edge.tunnels
    tunnel.tally.received, tunnel.tally.visitors = 1000, 3
    edge.core.away = True
    pair.vanish()
    edge.start()
    (tunnel,) = edge.tunnels
    tunnel.tally.received += 10
    edge.back()
    edge.pass_by(LEASE)
    (row,) = now(edge.core.operator.tunnels()).tunnels
    assert (row.received, row.visitors) == (1010, 3)


def test_whoever_comes_back_before_the_old_connection_is_known_to_be_dead(edge: Edge) -> None:
    _, old = edge.start()
    edge.joined.clear()
    (tunnel,) = edge.tunnels
    edge.core.away = True
    # Another address, perhaps: the first connection is silent, but nobody knows that yet.
    pair, session = edge.start()
    assert pair.logged_in
    assert session.lines == []
    edge.pass_by(2)
    assert session.lines[-1] == "https://blog.a.example"
    assert [each.id for each in edge.tunnels] == [tunnel.id]
    assert old.status is None


def test_a_client_who_answers_keeps_its_tunnel(edge: Edge) -> None:
    first, session = edge.start()
    edge.core.away = True
    _, newer = edge.start()
    first.flush()
    edge.joined[-1].flush()
    edge.pass_by(3)
    assert newer.lines == [AWAY]
    assert session.lines[-1] == "https://blog.a.example"


def test_a_tunnel_that_lives_does_not_become_another(edge: Edge) -> None:
    pair, session = edge.start("one")
    (live,) = edge.tunnels
    other, _ = edge.start("two")
    edge.core.away = True
    other.vanish()
    asked = pair.forward("two", 1)
    asked.addErrback(lambda _: None)
    pair.advance(0.02)
    assert session.lines[-1] == AWAY
    assert [each.id for each in edge.tunnels] == [live.id]
    assert len(edge.dormants) == 1
