"""Who logs in next, when many come at once."""

from __future__ import annotations

from twisted.internet.task import Clock

from pinggy.edge.ssh.logins import AT_ONCE, LONG_TURN, Begin, Logins
from tests.support.edges import EdgeInMemory
from tests.support.ssh_pair import Pair


class Turns(Clock):
    """A clock whose calls of one turn are made before those that they ask for, as a reactor makes them."""

    def turn(self, seconds: float) -> None:
        self.rightNow += seconds
        due, self.calls = self.calls, []
        for call in due:
            call.called = 1
            call.func(*call.args, **call.kw)


class Crowd:
    """Many who come at once; each turn of the reactor takes *work* seconds."""

    def __init__(self, count: int, work: float = 0.0) -> None:
        self.clock = Turns()
        self.logins = Logins(self.clock)
        self.begun: list[int] = []
        self._work = work
        self.begins = [self._begin(number) for number in range(count)]
        for begin in self.begins:
            self.logins.enter(begin)

    def _begin(self, number: int) -> Begin:
        return lambda: self.begun.append(number)

    def turn(self) -> int:
        """One turn of the reactor; how many were begun in it."""
        before = len(self.begun)
        self.clock.turn(self._work)
        return len(self.begun) - before


def test_one_alone_begins_at_once() -> None:
    crowd = Crowd(1)
    assert crowd.begun == [0]
    crowd.turn()
    assert crowd.clock.getDelayedCalls() == []


def test_many_begin_in_the_order_they_came_a_few_each_turn() -> None:
    crowd = Crowd(2 * AT_ONCE + 2)
    assert len(crowd.logins) == 2 * AT_ONCE + 1
    assert [crowd.turn() for _ in range(4)] == [AT_ONCE, AT_ONCE, 1, 0]
    assert crowd.begun == list(range(2 * AT_ONCE + 2))
    assert crowd.clock.getDelayedCalls() == []


def test_while_turns_are_long_there_is_one_each() -> None:
    crowd = Crowd(5, work=2 * LONG_TURN)
    assert [crowd.turn() for _ in range(5)] == [1, 1, 1, 1, 0]


def test_who_leaves_the_line_is_not_begun() -> None:
    crowd = Crowd(4)
    crowd.logins.leave(crowd.begins[1])
    crowd.logins.leave(crowd.begins[0])
    crowd.turn()
    assert crowd.begun == [0, 2, 3]


def test_clients_who_come_together_all_log_in(edge: EdgeInMemory) -> None:
    # All within one turn.
    pairs = [Pair(edge.factory, edge.clock, b"me") for _ in range(3 * AT_ONCE)]
    waiting = [pair for pair in pairs if not pair.logged_in]
    assert waiting
    # One of those in line leaves, and costs the others nothing.
    waiting[0].vanish()
    for _ in range(4):
        edge.clock.advance(0)
        for pair in pairs:
            pair.flush()
    assert [pair.logged_in for pair in pairs] == [pair is not waiting[0] for pair in pairs]
    for pair in pairs:
        pair.vanish()
