"""
Where names live, as an edge remembers it: fresh for a while, and bounded however many names strangers think of.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pinggy.edge.peers import places as cache
from pinggy.edge.peers.places import Places, PlaceUnknown
from pinggy.tunnel.refusals import CoreAway, NotFound
from pinggy.tunnel.request import Kind
from pinggy.wire.places import Place, Where


class Asked:
    """A core that is asked for places; a test answers."""

    def __init__(self) -> None:
        self.questions: list[Where] = []
        self._answers: list[Deferred[Place]] = []

    def where(self, message: Where) -> Deferred[Place]:
        self.questions.append(message)
        self._answers.append(Deferred())
        return self._answers[-1]

    def answers(self, answer: Place | Exception) -> None:
        """The oldest question that is open."""
        waiting = self._answers.pop(0)
        if isinstance(answer, Place):
            waiting.callback(answer)
        else:
            waiting.errback(answer)


def place(name: str = "blog", epoch: int = 7, edge: str = "us") -> Place:
    return Place(name=name, kind=Kind.HTTP, epoch=epoch, edge=edge, host="192.0.2.1", port=7444)


class Book:
    def __init__(self) -> None:
        self.clock = Clock()
        self.core = Asked()
        self.places = Places(core=self.core, clock=self.clock)  # type: ignore[arg-type]

    def find(self, name: str = "blog", beyond: int = 0) -> list[Any]:
        """What is answered, when it is."""
        found: list[Any] = []
        self.places.find(name, beyond).addBoth(lambda result: found.append(getattr(result, "value", result)))
        return found


@pytest.fixture
def book() -> Book:
    return Book()


def test_a_place_is_believed_for_a_while(book: Book) -> None:
    found = book.find()
    book.core.answers(place())
    assert found == [place()]
    assert book.find() == [place()]
    book.clock.advance(cache.FRESH)
    book.find()
    assert book.core.questions == [Where(name="blog")] * 2


def test_that_nobody_has_a_name_is_believed_for_a_moment(book: Book) -> None:
    book.find()
    book.core.answers(NotFound("x"))
    assert book.find() == [None]
    book.clock.advance(cache.NOBODY)
    assert book.find() == []
    assert len(book.core.questions) == 2


def test_who_asks_for_a_name_that_is_being_asked_for_waits_for_the_same_answer(book: Book) -> None:
    found = [book.find() for _ in range(100)]
    assert len(book.core.questions) == 1
    book.core.answers(place())
    assert found == [[place()]] * 100


def test_one_who_leaves_takes_nobody_with_him(book: Book) -> None:
    leaving = book.places.find("blog")
    left: list[Any] = []
    leaving.addErrback(left.append)
    found = book.find()
    leaving.cancel()
    book.core.answers(place())
    assert len(left) == 1
    assert found == [place()]


def test_strangers_cannot_ask_the_core_for_more_than_so_many_names_at_a_time(book: Book) -> None:
    asked = [book.find(f"x{number}") for number in range(cache.MOST_ASKED)]
    assert [type(each) for each in book.find("one-more")] == [PlaceUnknown]
    assert len(book.core.questions) == cache.MOST_ASKED
    assert asked == [[]] * cache.MOST_ASKED
    # Who is known meanwhile is served from memory, old as it may be.
    book.places.learn(place("known"))
    book.clock.advance(cache.FRESH)
    assert book.find("known") == [place("known")]


def test_what_is_no_label_is_not_asked_for(book: Book) -> None:
    for name in ("", "UPPER", "x" * 64, "-", "xn--abc", "a b"):
        assert book.find(name) == [None]
    assert book.core.questions == []


def test_so_many_names_are_remembered_and_no_more(book: Book) -> None:
    for number in range(cache.MOST_KNOWN + 1):
        book.places.learn(place(f"x{number}"))
    assert book.places.remembered("x0") is None
    assert book.places.remembered(f"x{cache.MOST_KNOWN}") is not None


def test_a_place_that_is_doubted_is_asked_for_again(book: Book) -> None:
    book.places.learn(place())
    book.places.doubt("blog")
    book.places.doubt("nobody")
    found = book.find()
    book.core.answers(place(epoch=9, edge="eu"))
    assert found == [place(epoch=9, edge="eu")]


def test_while_the_core_is_away_what_it_said_is_believed(book: Book) -> None:
    assert book.find() == []
    book.core.answers(place())
    book.clock.advance(1000)
    found = book.find()
    book.core.answers(CoreAway.of())
    assert found == [place()]
    unknown = book.find("other")
    book.core.answers(CoreAway.of())
    assert [type(each) for each in unknown] == [PlaceUnknown]


def test_a_core_that_is_slow_is_not_waited_for_where_an_older_answer_is_known(book: Book) -> None:
    book.places.learn(place())
    book.clock.advance(1000)
    found = book.find()
    assert found == []
    book.clock.advance(cache.PATIENCE)
    assert found == [place()]
    book.core.answers(place(epoch=9, edge="eu"))
    assert book.find() == [place(epoch=9, edge="eu")]


def test_beyond_an_epoch_what_is_remembered_of_it_does_not_count(book: Book) -> None:
    book.places.learn(place())
    found = book.find(beyond=7)
    assert book.core.questions == [Where(name="blog", beyond=7)]
    book.clock.advance(cache.PATIENCE)
    assert found == []
    book.core.answers(place(epoch=8, edge="eu"))
    assert found == [place(epoch=8, edge="eu")]


def test_an_older_word_does_not_replace_a_newer_one(book: Book) -> None:
    found = book.find()
    book.places.learn(place(epoch=9, edge="eu"))
    book.core.answers(place(epoch=7))
    assert found == [place(epoch=7)]
    assert book.places.remembered("blog") == place(epoch=9, edge="eu")
    book.places.forget("blog", 8)
    assert book.places.remembered("blog") == place(epoch=9, edge="eu")
    book.places.forget("blog", 9)
    assert book.places.remembered("blog") is None
