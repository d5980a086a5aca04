"""The way of a request whose tunnel is just being lost, before its edge has it out of its books."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, succeed

from pinggy.edge.elsewhere import Elsewhere, Here, Nowhere, Passage, Passed
from pinggy.edge.stream import Cause, StreamRefused
from tests.edge.visitor.visits import Visit
from tests.support.streams import FakeStream

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
    visit.client.refusal = StreamRefused("The client has left.", Cause.GONE)
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


class AtAnother(AtItsEdge):
    """It lives at another edge, which takes whoever comes."""

    def __init__(self) -> None:
        super().__init__(knows=True)
        self.stream = FakeStream()

    def reach(self, passage: Passage) -> Deferred[Passed | Here | Nowhere]:
        self.asked.append(passage)
        return succeed(Passed(self.stream, 7))


@pytest.mark.parametrize(
    ("method", "header", "goes_with_the_question"),
    [
        ("GET", "Accept: */*", True),
        ("DELETE", "Accept: */*", True),
        # Its body comes after the answer: without that it is no request.
        ("POST", "Content-Length: 5", True),
        ("POST", "Content-Length: 0", False),
        ("POST", "Accept: */*", False),
    ],
)
def test_what_may_not_be_sent_twice_does_not_go_with_a_question_that_may(
    method: str, header: str, goes_with_the_question: bool
) -> None:
    elsewhere = AtAnother()
    visit = Visit(elsewhere=elsewhere)
    visit.say(f"{method} / HTTP/1.1\r\nHost: other.a.example\r\n{header}\r\n\r\n".encode())
    (asked,) = elsewhere.asked
    line = f"{method} / HTTP/1.1\r\n".encode()
    assert asked.first.startswith(line) is goes_with_the_question
    assert bytes(elsewhere.stream.written).startswith(line) is not goes_with_the_question
    visit.leave()
