"""
One writer: what waits goes together, the newest owner wins, a bad record harms no other, failures reach everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure

from pinggy.dns.powerdns.changes import NEWER_OWNER, Change, Refused
from pinggy.dns.powerdns.queue import Outcome
from pinggy.dns.powerdns.writer import BatchRefused, ServerAway, Writer


class Server:
    """Keeps what it is sent until the test answers; takes nothing whose target is ``bad``."""

    def __init__(self) -> None:
        self.sent: list[list[Change]] = []
        self.holding = True
        self.stands: dict[str, Change] = {}
        self._held: list[Deferred[None]] = []

    def send(self, changes: Sequence[Change]) -> Deferred[Mapping[str, Refused]]:
        self.sent.append(list(changes))
        if not self.holding:
            return self._take(changes)
        held: Deferred[None] = Deferred()
        self._held.append(held)
        return held.addCallback(lambda _: self._take(changes))

    def answer(self) -> None:
        self._held.pop(0).callback(None)

    def answer_all(self) -> None:
        self.holding = False
        while self._held:
            self.answer()

    def fail(self) -> None:
        self._held.pop(0).errback(ServerAway("it is away"))

    def _take(self, changes: Sequence[Change]) -> Deferred[Mapping[str, Refused]]:
        if any(each.target == "bad" for each in changes):
            return fail(BatchRefused("RRset bad"))
        for each in changes:
            self.stands[each.name] = each
        return succeed({})


def place(name: str, epoch: int = 1, target: str = "eu") -> Change:
    return Change(name=name, epoch=epoch, target=target)


def take(name: str, epoch: int = 1) -> Change:
    return Change(name=name, epoch=epoch, withdrawn=True)


def stale(name: str) -> Refused:
    return Refused(name=name, why=NEWER_OWNER, stale=True)


def outcome(waiting: Deferred[tuple[Outcome, ...]]) -> tuple[Outcome, ...]:
    results: list[tuple[Outcome, ...]] = []
    waiting.addCallback(results.append)
    assert results, "not fired"
    return results[0]


def failed(waiting: Deferred[tuple[Outcome, ...]]) -> str:
    failures: list[Failure] = []
    waiting.addErrback(failures.append)
    assert failures, "not failed"
    failures[0].trap(ServerAway)
    return failures[0].getErrorMessage()


def test_what_comes_while_one_is_under_way_goes_together() -> None:
    server = Server()
    writer = Writer(server.send, most_at_once=3)
    calls = [writer.put([place(f"n{number}")]) for number in range(6)]
    assert [len(each) for each in server.sent] == [1]
    server.answer()
    assert [len(each) for each in server.sent] == [1, 3]
    assert [call.called for call in calls] == [True, False, False, False, False, False]
    server.answer_all()
    assert [len(each) for each in server.sent] == [1, 3, 2]
    assert [outcome(call) for call in calls] == [(None,)] * 6


def test_each_caller_is_answered_for_its_own() -> None:
    server = Server()
    writer = Writer(server.send)
    first = writer.put([place("first")])
    good, mixed = writer.put([place("good")]), writer.put([place("x"), place("y", target="bad"), place("z")])
    server.answer_all()
    assert outcome(first) == (None,)
    assert outcome(good) == (None,)
    assert outcome(mixed) == (None, Refused(name="y", why="RRset bad"), None)
    assert set(server.stands) == {"first", "good", "x", "z"}


def test_of_what_waits_the_newest_owner_wins_in_any_order() -> None:
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        server = Server()
        writer = Writer(server.send)
        writer.put([place("busy")])
        asked = [place("x", 1), take("x", 1), place("x", 2, "us")]
        calls = {index: writer.put([asked[index]]) for index in order}
        server.answer_all()
        assert server.sent[1:] == [[asked[2]]]
        assert outcome(calls[0]) == (stale("x"),)
        assert outcome(calls[1]) == (None,)
        assert outcome(calls[2]) == (None,)


def test_a_refused_newcomer_does_not_keep_the_others_from_their_turn() -> None:
    server = Server()
    writer = Writer(server.send)
    writer.put([place("busy")])
    old, new = writer.put([place("x", 1)]), writer.put([place("x", 2, "bad")])
    server.answer_all()
    assert outcome(new) == (Refused(name="x", why="RRset bad"),)
    assert outcome(old) == (None,)
    assert server.stands["x"] == place("x", 1)


def test_a_failure_reaches_all_that_wait_and_the_next_starts_anew() -> None:
    server = Server()
    writer = Writer(server.send)
    under_way, waits = writer.put([place("x")]), writer.put([place("y"), place("x", 2)])
    server.fail()
    assert failed(under_way) == failed(waits) == "it is away"
    again = writer.put([place("x")])
    server.answer_all()
    assert outcome(again) == (None,)


def test_who_leaves_is_not_told_and_harms_nobody() -> None:
    server = Server()
    writer = Writer(server.send)
    leaves, stays = writer.put([place("x")]), writer.put([place("y")])
    gone: list[Failure] = []
    leaves.addErrback(gone.append)
    leaves.cancel()
    server.answer_all()
    assert gone[0].check(CancelledError)
    assert outcome(stays) == (None,)


def test_what_waits_is_bounded() -> None:
    server = Server()
    writer = Writer(server.send, most_waiting=2)
    writer.put([place("x")])
    waits = writer.put([place("y"), place("z")])
    assert "more changes wait" in failed(writer.put([place("w")]))
    server.answer_all()
    assert outcome(waits) == (None, None)


def test_it_says_when_nothing_is_under_way() -> None:
    server = Server()
    writer = Writer(server.send)
    assert writer.idle().called
    writer.put([place("x")])
    idle = writer.idle()
    assert not idle.called
    server.answer_all()
    assert idle.called


def test_a_broken_server_object_is_logged_and_nobody_waits_for_ever(nothing_is_lost: list[str]) -> None:
    def broken(changes: Sequence[Change]) -> Deferred[Mapping[str, Refused]]:
        raise RuntimeError("a bug")

    assert failed(Writer(broken).put([place("x")])) == "its writer broke"
    assert "a bug" in nothing_is_lost.pop()


@given(
    st.lists(
        st.tuples(st.sampled_from("xy"), st.integers(1, 4), st.booleans(), st.booleans()), min_size=1, max_size=20
    ),
    st.integers(1, 3),
)
def test_whatever_the_order_the_highest_rank_stands_last_among_what_waited(
    moves: list[tuple[str, int, bool, bool]], most: int
) -> None:
    server = Server()
    writer = Writer(server.send, most_at_once=most)
    writer.put([place("busy")])
    asked = [take(name, epoch) if withdrawn else place(name, epoch) for name, epoch, withdrawn, _ in moves]
    calls = [writer.put([each]) for each in asked]
    server.answer_all()
    for name in {each.name for each in asked}:
        best = max(each.rank for each in asked if each.name == name)
        assert server.stands[name].rank == best
    for change, call in zip(asked, calls, strict=True):
        best = max(each.rank for each in asked if each.name == change.name)
        late = change.rank < best and not change.withdrawn
        assert outcome(call) == ((stale(change.name),) if late else (None,))


@pytest.mark.parametrize("bad", [(), (0,), (99,), (0, 1, 50, 98, 99)])
def test_the_culprits_of_a_large_batch_are_found(bad: tuple[int, ...]) -> None:
    server = Server()
    writer = Writer(server.send)
    call = writer.put([place(f"n{number}", target="bad" if number in bad else "eu") for number in range(100)])
    server.answer_all()
    assert [index for index, each in enumerate(outcome(call)) if each is not None] == list(bad)
    assert len(server.stands) == 100 - len(bad)
