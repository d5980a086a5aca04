"""
How calls end early over a local server's HTTP/2 (x:h2), and when they are sent again: in memory.
"""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes

from pinggy.edge.local.h2.exchange import MOST_KEPT, MOST_TRIES
from tests.edge.local.h2_server import H2ToH2

# -- one breaks off ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("responded", [False, True])
def test_who_takes_his_call_back_takes_it_back_at_the_server(responded: bool) -> None:
    visit = H2ToH2()
    number = visit.call()
    if responded:
        visit.respond()
    visit.visitor.reset_stream(number, ErrorCodes.CANCEL)
    visit.exchange()
    assert visit.server.reset(1) == ErrorCodes.CANCEL
    assert not visit.stream.over
    visit.leave()
    assert visit.server.stream.closed


def test_a_visitor_who_leaves_is_left_at_the_server() -> None:
    visit = H2ToH2()
    visit.call()
    visit.transport.closes()
    assert visit.servers is not None
    visit.servers.run()
    assert visit.server.reset(1) == ErrorCodes.CANCEL
    visit.leave()


def test_a_response_that_breaks_off_is_seen_to_break_off() -> None:
    visit = H2ToH2()
    number, other = visit.call(), visit.call()
    visit.respond()
    visit.server.h2.reset_stream(1, ErrorCodes.INTERNAL_ERROR)
    visit.exchange()
    assert visit.reset(number) == ErrorCodes.INTERNAL_ERROR
    visit.respond(3, end=True)
    assert visit.has_ended(other)
    visit.leave()


def test_a_call_that_is_broken_off_before_its_response_is_answered() -> None:
    visit = H2ToH2()
    number = visit.call(end=True)
    visit.server.h2.reset_stream(1, ErrorCodes.INTERNAL_ERROR)
    visit.exchange()
    assert visit.answered(number).startswith("14 This tunnel is up, but the local server behind it broke the request")
    visit.leave()


def test_a_call_beyond_the_limit_is_taken_back_and_answered() -> None:
    visit = H2ToH2("x:limit:10")
    number = visit.call()
    visit.send(number, b"ten bytes.")
    visit.send(number, b"!")
    assert visit.server.content(1) == b"ten bytes."
    assert visit.server.reset(1) == ErrorCodes.CANCEL
    assert visit.answered(number).startswith("8 The request carries more than this tunnel allows")
    visit.leave()


def test_a_response_before_the_request_has_ended_ends_both() -> None:
    visit = H2ToH2()
    number = visit.call()
    visit.respond(1, ("grpc-status", "8"), end=True)
    assert visit.has_ended(number)
    assert visit.server.reset(1) == ErrorCodes.NO_ERROR
    visit.leave()


# -- requests that the server has not looked at --------------------------------------------------------------------


def test_a_refused_call_is_sent_again_with_its_content() -> None:
    visit = H2ToH2()
    number = visit.call()
    visit.send(number, b"question")
    visit.server.h2.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    visit.exchange()
    visit.send(number, b"!", end=True)
    assert visit.server.asked == [1, 3]
    assert visit.server.content(3) == b"question!"
    assert visit.server.has_ended(3)
    visit.respond(3, end=True)
    assert visit.has_ended(number)
    visit.leave()


def test_one_that_is_refused_again_and_again_is_answered() -> None:
    visit = H2ToH2()
    number = visit.call(end=True)
    for count in range(MOST_TRIES):
        visit.server.h2.reset_stream(1 + 2 * count, ErrorCodes.REFUSED_STREAM)
        visit.exchange()
    assert visit.answered(number).startswith("14 ")
    assert len(visit.server.asked) == MOST_TRIES
    visit.leave()


def test_one_of_which_too_much_was_sent_is_not_sent_again() -> None:
    visit = H2ToH2()
    number = visit.call()
    for _ in range(3):
        visit.send(number, bytes(MOST_KEPT // 2))
    visit.server.h2.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    visit.exchange()
    assert visit.answered(number).startswith("14 ")
    visit.leave()


def test_after_a_goaway_calls_end_well_and_others_go_over_another_connection() -> None:
    visit = H2ToH2()
    taken, not_taken = visit.call(), visit.call()
    visit.send(not_taken, b"question", end=True)
    first = visit.server
    first.goaway(1)
    visit.exchange()
    assert visit.servers is not None
    assert len(visit.servers) == 2
    assert visit.server.content(1) == b"question"
    new = visit.call(end=True)
    assert visit.server.asked == [1, 3]
    visit.send(taken, b"still here", end=True)
    assert first.content(1) == b"still here"
    visit.respond(1, server=first)
    visit.says(1, b"yes", server=first)
    assert not first.stream.over
    visit.finish(1, server=first)
    assert first.stream.closed
    assert (visit.content(taken), visit.trailers(taken)) == (b"yes", [("grpc-status", "0")])
    for number in (1, 3):
        visit.respond(number, end=True)
    assert visit.has_ended(not_taken)
    assert visit.has_ended(new)
    visit.leave()


def test_a_gentle_goaway_before_a_ping_lets_calls_end() -> None:
    """As gRPC's servers stop: a GOAWAY for all, a ping, and the real one when that has been answered."""
    visit = H2ToH2()
    number = visit.call(end=True)
    visit.respond()
    visit.server.h2.ping(b"12345678")
    pings = visit.server.h2.data_to_send()
    visit.server.goaway(2**31 - 1)
    visit.stream.client_sends(pings)
    visit.exchange()
    assert "PingAckReceived" in [type(each).__name__ for each in visit.server.events]
    visit.says(1, b"late")
    visit.finish()
    assert visit.content(number) == b"late"
    assert visit.stream.closed
    visit.leave()


def test_a_connection_that_was_dead_already_is_replaced_where_the_request_may_be_repeated() -> None:
    visit = H2ToH2()
    visit.ask()
    visit.respond(1, end=True)
    again, not_again = visit.ask(), visit.call()
    visit.stream.client_ends()
    visit.exchange()
    assert visit.servers is not None
    assert len(visit.servers) == 2
    assert visit.answered(not_again).startswith("14 ")
    visit.respond(1, end=True)
    assert visit.has_ended(again)
    visit.leave()
