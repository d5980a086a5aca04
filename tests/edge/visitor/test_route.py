"""The way of a request whose tunnel is just being lost, before its edge has it out of its books."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from pinggy.edge.elsewhere import Elsewhere, Here, Nowhere, Passage, Passed
from pinggy.edge.stream import StreamRefused
from tests.edge.visitor.visits import Visit

GET = b"GET / HTTP/1.1\r\nHost: shop.a.example\r\n\r\n"


class AtItsEdge(Elsewhere):
    """What is asked for lives at this very edge, as far as is known: always, or (*knows*) by the epoch that it has."""

    def __init__(self, *, knows: bool) -> None:
        self.asked: list[Passage] = []
        self.visit: Visit | None = None
        self._knows = knows

    def reach(self, passage: Passage) -> Deferred[Passed | Here | Nowhere]:
        self.asked.append(passage)
        assert self.visit is not None
        live = self.visit.shop
        if self._knows and passage.beyond >= live.forwarding.epoch:
            return succeed(Nowhere())
        return succeed(Here(live))

    def has_moved(self, name: str, epoch: int) -> bool:
        return False


def ask(elsewhere: AtItsEdge) -> bytes:
    """What one hears whose client is lost while his stream is opened."""
    visit = elsewhere.visit = Visit(elsewhere=elsewhere)
    visit.client.refusal = StreamRefused("The client has left.", gone=True)
    visit.say(GET)
    heard = visit.heard()
    visit.leave()
    return heard


def test_a_newer_one_is_looked_for() -> None:
    elsewhere = AtItsEdge(knows=True)
    assert b" 503 " in ask(elsewhere).splitlines()[0]
    (asked,) = elsewhere.asked
    assert elsewhere.visit is not None
    assert asked.beyond == elsewhere.visit.shop.forwarding.epoch


def test_nobody_is_sent_to_the_dead_one_for_ever() -> None:
    elsewhere = AtItsEdge(knows=False)
    assert b" 503 " in ask(elsewhere).splitlines()[0]
    assert len(elsewhere.asked) < 10
