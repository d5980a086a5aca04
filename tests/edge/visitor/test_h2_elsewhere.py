"""
An HTTP/2 visitor who asks for tunnels of other edges over the connection that he has to one of this edge.
"""

from __future__ import annotations

import pytest

from pinggy.edge.elsewhere import Mode, NotReached, Nowhere
from tests.edge.visitor.h2_visits import H2Visit
from tests.edge.visitor.test_elsewhere import OK, Asked

AWAY = "gone.a.example"


@pytest.fixture
def other() -> Asked:
    return Asked()


def test_each_request_goes_to_the_edge_of_its_tunnel(other: Asked) -> None:
    visit = H2Visit(elsewhere=other)
    here, first, second = visit.ask(), visit.ask(host=AWAY), visit.ask(path="/b", host=AWAY)
    assert [(asked.mode, asked.secure, asked.name) for asked in other.passages] == [(Mode.HTTP, True, "gone")] * 2
    assert other.passages[1].first == b"GET /b HTTP/1.1\r\nhost: gone.a.example\r\n\r\n"
    one, two = other.passes(), other.passes()
    assert bytes(one.written + two.written) == b""
    visit.answer(OK.replace(b"hi", b"2!"), two)
    visit.answer(OK, visit.stream)
    visit.answer(OK.replace(b"hi", b"1!"), one)
    assert [visit.content(number) for number in (here, first, second)] == [b"hi", b"1!", b"2!"]
    visit.leave()
    assert one.closed
    assert two.closed


def test_a_body_follows_when_the_way_is_known_and_its_answer_comes_bit_by_bit(other: Asked) -> None:
    visit = H2Visit(elsewhere=other)
    number = visit.ask("POST", "/", host=AWAY, end=False)
    visit.send(number, b"early")
    stream = other.passes()
    visit.exchange()
    assert other.passages[0].first.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert visit.asked(stream) == b"5\r\nearly\r\n"
    visit.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", stream)
    for piece in (b"one", b"two"):
        visit.send(number, piece)
        assert visit.asked(stream) == b"3\r\n%s\r\n" % piece
        visit.answer(b"3\r\n%s\r\n" % piece, stream)
        assert visit.content(number).endswith(piece)
    visit.send(number, b"", end=True)
    assert visit.asked(stream) == b"0\r\n\r\n"
    visit.answer(b"0\r\n\r\n", stream)
    assert visit.has_ended(number)
    visit.leave()


@pytest.mark.parametrize("how", ["by the other edge", "before it is asked"])
def test_one_whom_another_edge_does_not_let_in_keeps_what_he_has_here(other: Asked, how: str) -> None:
    visit = H2Visit(elsewhere=other)
    here = visit.ask()
    visit.answer(OK[:-1])
    away = visit.ask(host=AWAY)
    if how == "by the other edge":
        other.passes().client_ends()
    else:
        other.answers(NotReached(full=True))
    visit.exchange()
    assert visit.reset(away) is not None
    assert not visit.fields(away)
    visit.answer(OK[-1:])
    assert visit.has_ended(here)
    visit.leave()


def test_a_request_that_was_cut_without_a_word_is_sent_again(other: Asked) -> None:
    visit = H2Visit(elsewhere=other)
    number = visit.ask(host=AWAY)
    other.passes().client_closes()
    assert len(other.passages) == 2
    other.answers(Nowhere())
    visit.exchange()
    assert visit.fields(number)[":status"] == "404"
    visit.leave()
