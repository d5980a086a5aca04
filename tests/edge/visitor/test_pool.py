"""
Streams that wait for the next request, whoever's it is; and those that are one visitor's alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pinggy.edge.local.pool import MOST_IDLE, Pool
from pinggy.edge.local.upstream import LONGEST_IDLE
from pinggy.tunnel.policy import Policy, ProxyProtocol
from tests.edge.visitor.visits import Visit
from tests.support.streams import FakeClient, FakeStream, live_forwarding

GET = b"GET /a HTTP/1.1\r\nHost: shop.a.example\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: shop.a.example\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def answering(stream: FakeStream, _: bytes) -> None:
    """A local server that answers each write, which is a whole request here."""
    stream.client_sends(OK)


def shop(answer: Callable[[FakeStream, bytes], None] | None = answering, policy: Policy | None = None) -> Visit:
    return Visit(live_forwarding(FakeClient(answer=answer), policy=policy))


def test_another_visitor_gets_the_stream_that_the_first_one_left() -> None:
    visit = shop()
    visit.say(GET)
    another = visit.another()
    another.say(POST)
    assert another.heard() == OK
    assert len(visit.client.opened) == 1
    assert visit.shop.tunnel.tally.visitors == 2
    visit.leave()
    assert not visit.stream.aborted


def test_a_visitor_who_leaves_takes_nothing_along() -> None:
    visit = shop()
    visit.say(GET)
    another = visit.another()
    visit.transport.closes()
    another.say(GET)
    assert another.heard() == OK
    assert len(visit.client.opened) == 1
    another.leave()


def test_requests_at_once_have_a_stream_each() -> None:
    visit = shop(None)
    visit.say(GET)
    another = visit.another()
    another.say(GET)
    first, second = visit.client.opened
    second.client_sends(OK.replace(b"hi", b"2!"))
    first.client_sends(OK)
    assert (visit.heard(), another.heard()) == (OK, OK.replace(b"hi", b"2!"))
    assert len(visit.shop.pool) == 2
    visit.leave()


def test_a_stream_that_waits_too_long_is_closed() -> None:
    visit = shop()
    visit.say(GET)
    visit.clock.advance(LONGEST_IDLE - 1)
    visit.say(GET)
    visit.clock.advance(LONGEST_IDLE - 1)
    assert not visit.stream.over
    visit.clock.advance(1)
    assert visit.stream.closed
    assert len(visit.shop.pool) == 0
    visit.leave()


@pytest.mark.parametrize("end", [FakeStream.client_ends, FakeStream.client_closes])
def test_one_that_the_local_server_closes_waits_no_longer(end: Callable[[FakeStream], None]) -> None:
    visit = shop()
    visit.say(GET)
    end(visit.stream)
    assert len(visit.shop.pool) == 0
    visit.say(GET)
    assert visit.heard() == OK + OK
    assert len(visit.client.opened) == 2
    visit.leave()


def test_bytes_that_nobody_asked_for_end_it() -> None:
    visit = shop()
    visit.say(GET)
    visit.stream.client_sends(OK)
    assert visit.stream.aborted
    assert visit.heard() == OK
    assert len(visit.shop.pool) == 0
    visit.leave()


def test_a_request_that_may_not_be_sent_twice_is_not_given_an_old_stream() -> None:
    visit = shop()
    visit.say(GET)
    visit.clock.advance(2.5)
    visit.say(POST)
    assert len(visit.client.opened) == 2
    visit.clock.advance(1)
    visit.say(POST)
    assert len(visit.client.opened) == 2
    visit.leave()


def test_a_dead_stream_is_replaced_by_a_fresh_one_and_not_by_another_old_one() -> None:
    visit = shop(None)
    visit.say(GET)
    another = visit.another()
    another.say(GET)
    for stream in visit.client.opened:
        stream.client_sends(OK)
    visit.heard()
    visit.say(GET)
    visit.client.opened[1].client_ends()
    assert len(visit.client.opened) == 3
    visit.client.opened[2].client_sends(OK)
    assert visit.heard() == OK
    visit.leave()


def test_a_post_over_a_stream_that_dies_is_not_sent_again() -> None:
    visit = shop(None)
    visit.say(GET)
    visit.stream.client_sends(OK)
    visit.heard()
    visit.say(POST)
    visit.stream.client_ends()
    assert visit.heard().startswith(b"HTTP/1.1 502 ")
    assert len(visit.client.opened) == 1
    visit.leave()


@pytest.mark.parametrize("scheme", [b"NTLM", b"Negotiate", b"negotiate dG9rZW4="])
@pytest.mark.parametrize("who", ["the visitor", "the local server"])
def test_a_stream_that_authenticates_its_connection_is_one_visitors_alone(scheme: bytes, who: str) -> None:
    asks = GET[:-2] + b"Authorization: " + scheme + b"\r\n\r\n" if who == "the visitor" else GET
    answers = b"HTTP/1.1 401 No\r\nWWW-Authenticate: " + scheme + b"\r\nContent-Length: 0\r\n\r\n"
    visit = shop(None)
    visit.say(asks)
    visit.stream.client_sends(OK if who == "the visitor" else answers)
    another = visit.another()
    another.say(GET)
    assert len(visit.client.opened) == 2
    visit.client.opened[1].client_sends(OK)
    visit.asked()
    visit.say(GET)
    assert visit.client.opened[0].written.count(b"GET /a") == 2
    visit.transport.closes()
    assert visit.client.opened[0].aborted
    another.leave()


def test_a_bound_stream_is_closed_with_its_idle_visitor() -> None:
    visit = shop()
    visit.say(GET[:-2] + b"Authorization: NTLM x\r\n\r\n")
    visit.transport.closes()
    assert visit.stream.closed
    visit.leave()


def test_under_x_haproxy_a_stream_is_one_visitors_alone() -> None:
    visit = shop(policy=Policy(haproxy=ProxyProtocol.V1))
    visit.say(GET)
    another = visit.another()
    another.say(GET)
    visit.say(GET)
    assert len(visit.client.opened) == 2
    another.transport.closes()
    assert visit.client.opened[1].closed
    visit.leave()


def test_an_upgraded_stream_is_never_used_again() -> None:
    visit = shop(None)
    visit.say(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: chat\r\n\r\n")
    visit.stream.client_sends(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
    visit.transport.closes()
    assert visit.stream.over
    assert len(visit.shop.pool) == 0
    visit.leave()


def test_no_more_wait_than_may() -> None:
    visit = shop(None)
    others = [visit.another() for _ in range(MOST_IDLE + 1)]
    for each in others:
        each.say(GET)
    for stream in list(visit.client.opened):
        stream.client_sends(OK)
    assert len(visit.shop.pool) == MOST_IDLE
    assert visit.client.opened[0].closed
    visit.leave()


def test_an_idle_stream_makes_room_for_one_that_is_needed() -> None:
    visit = Visit(live_forwarding(FakeClient(answer=answering), channels=1))
    visit.say(GET)
    visit.clock.advance(3)
    visit.say(POST)
    assert visit.heard() == OK + OK
    assert visit.client.opened[0].closed
    visit.leave()


def test_it_makes_room_also_for_another_forwarding_of_its_tunnel() -> None:
    shop = live_forwarding(FakeClient(answer=answering), channels=1)
    blog = replace(shop, forwarding=replace(shop.forwarding, number=2, name="blog"), pool=Pool())
    visit = Visit(shop, blog)
    visit.say(GET)
    visit.say(GET.replace(b"shop", b"blog"))
    assert visit.heard() == OK + OK
    assert visit.client.opened[0].closed
    visit.leave()


def test_a_stream_left_by_one_who_does_not_read_goes_on_reading() -> None:
    visit = shop(None)
    visit.say(GET)
    visit.transport.is_full()
    visit.stream.client_sends(OK)
    another = visit.another()
    another.say(GET)
    assert not visit.stream.paused
    another.leave()


def test_a_stream_whose_beginning_the_policy_has_changed_meanwhile_is_not_taken() -> None:
    visit = shop(None)
    visit.say(GET)
    first = visit.stream
    visit.shop.tunnel.change_policy(Policy(local_tls="localhost"))
    first.client_sends(OK)
    visit.say(GET)
    assert visit.heard() == OK
    assert first.closed
    assert len(visit.client.opened) == 2
    assert visit.stream.written.startswith(b"\x16\x03")
    visit.stream.client_closes()
    assert visit.heard().startswith(b"HTTP/1.1 502 ")
    visit.leave()


def test_a_stream_that_has_not_taken_its_request_is_not_given_to_another() -> None:
    visit = shop(None)
    visit.say(POST)
    visit.stream.client_is_full()
    visit.stream.client_sends(OK)
    assert visit.heard() == OK
    assert visit.stream.aborted
    visit.leave()


@pytest.mark.parametrize("framing", [b"Content-Length: 40", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize(("method", "status"), [(b"HEAD", b"200 OK"), (b"GET", b"304 -"), (b"GET", b"204 -")])
def test_content_that_should_not_come_is_nobodys_response(method: bytes, status: bytes, framing: bytes) -> None:
    visit = shop(None)
    visit.say(GET.replace(b"GET", method))
    visit.stream.client_sends(b"HTTP/1.1 " + status + b"\r\n" + framing + b"\r\n\r\n")
    # Some local servers send it nevertheless, and it may say whatever a visitor had them say.
    first = visit.stream
    another = visit.another()
    another.say(GET)
    first.client_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!")
    assert not another.heard()
    visit.stream.client_sends(OK)
    assert another.heard() == OK
    visit.leave()


def test_a_response_without_content_does_not_cost_a_stream() -> None:
    visit = shop(None)
    visit.say(GET.replace(b"GET", b"HEAD"))
    visit.stream.client_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    visit.say(GET)
    visit.stream.client_sends(b"HTTP/1.1 204 No Content\r\n\r\n")
    visit.say(GET)
    assert len(visit.client.opened) == 1
    visit.leave()
