from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pinggy.dns.powerdns.health import FIRST_WAIT, LAST_WAIT, Health
from pinggy.dns.powerdns.writer import ServerAway
from tests.support.logs import logged


class Subject:
    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[None]] = []
        self.returns = 0
        self.health = Health(self.clock, "ns1", self._ask, self._returned)

    def _ask(self) -> Deferred[None]:
        self.asked.append(Deferred())
        return self.asked[-1]

    def _returned(self) -> None:
        self.returns += 1


def test_down_and_back_are_one_line_each() -> None:
    subject = Subject()
    with logged("pinggy.dns.powerdns.health") as lines:
        for _ in range(3):
            subject.health.down("it is {away}")
        assert lines == ["the DNS server ns1 is down and not waited for: it is {away}"]
        assert (subject.health.state.up, subject.health.state.why) == (False, "it is {away}")
        subject.clock.advance(FIRST_WAIT)
        subject.asked.pop().callback(None)
        assert lines[1:] == ["the DNS server ns1 is back after 1.0 s"]
    assert subject.health.state.up
    assert subject.health.state.since == FIRST_WAIT
    assert subject.returns == 1
    assert subject.clock.getDelayedCalls() == []


def test_the_waits_grow_to_their_bound_and_begin_anew() -> None:
    subject = Subject()
    for _ in range(2):
        subject.health.down("away")
        waits = []
        for _ in range(8):
            (call,) = subject.clock.getDelayedCalls()
            waits.append(call.getTime() - subject.clock.seconds())
            subject.clock.advance(waits[-1])
            subject.asked.pop().errback(ServerAway("still away"))
        assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
        assert waits[0] == FIRST_WAIT
        assert waits[-1] == LAST_WAIT
        assert subject.health.state.why == "still away"
        subject.clock.advance(LAST_WAIT)
        subject.asked.pop().callback(None)
        subject.clock.advance(LAST_WAIT)
    assert subject.returns == 2


def test_one_that_answers_and_then_fails_at_once_comes_and_goes_more_slowly() -> None:
    subject = Subject()
    waits = []
    for _ in range(4):
        subject.health.down("it fails at the work")
        (call,) = subject.clock.getDelayedCalls()
        waits.append(call.getTime() - subject.clock.seconds())
        subject.clock.advance(waits[-1])
        subject.asked.pop().callback(None)
    assert waits == [1, 2, 4, 8]


def test_who_needs_it_asks_ahead_of_time_but_not_all_the_time() -> None:
    subject = Subject()
    assert subject.health.ask_now().called
    subject.health.down("away")
    assert subject.health.ask_now().called
    assert subject.asked == []
    subject.clock.advance(FIRST_WAIT)
    subject.asked.pop().errback(ServerAway("away"))
    subject.clock.advance(FIRST_WAIT)
    waiting = [subject.health.ask_now() for _ in range(3)]
    (asked,) = subject.asked
    assert not any(each.called for each in waiting)
    asked.callback(None)
    assert all(each.called for each in waiting)
    assert subject.health.state.up
    assert subject.clock.getDelayedCalls() == []


def test_a_stop_leaves_nothing_behind() -> None:
    subject = Subject()
    subject.health.down("away")
    subject.health.stop()
    assert subject.clock.getDelayedCalls() == []
    other = Subject()
    other.health.down("away")
    other.clock.advance(FIRST_WAIT)
    waiting = other.health.ask_now()
    other.health.stop()
    assert waiting.called
    assert other.clock.getDelayedCalls() == []
    assert other.returns == 0
    other.health.down("again")
    assert other.clock.getDelayedCalls() == []


def test_a_question_that_breaks_is_logged_and_asked_again(nothing_is_lost: list[str]) -> None:
    subject = Subject()
    subject.health.down("away")
    subject.clock.advance(FIRST_WAIT)
    subject.asked.pop().errback(RuntimeError("a bug"))
    assert "a bug" in nothing_is_lost.pop()
    assert subject.clock.getDelayedCalls() != []
    subject.health.stop()
