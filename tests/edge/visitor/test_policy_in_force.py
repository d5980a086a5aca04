"""
What the policy of a tunnel does to its HTTP visitors, with the client in memory.
"""

from __future__ import annotations

from pinggy.tunnel.arguments import parse_policy
from tests.edge.visitor.visits import Visit
from tests.support.streams import FakeClient, live_forwarding

GET = b"GET /a HTTP/1.1\r\nHost: shop.a.example\r\n\r\n"


def visit(*words: str, host: str = "192.0.2.7") -> Visit:
    return Visit(live_forwarding(FakeClient(), policy=parse_policy(words)), host=host)


# -- responses ---------------------------------------------------------------------------------------------------------


def test_rules_for_responses_and_cookies_that_stay_at_home() -> None:
    one = visit("R:Server", "A:X-Frame-Options:DENY", "A:Set-Cookie:c=d; Domain=example")
    one.say(GET)
    one.stream.client_sends(
        b"HTTP/1.1 103 Early Hints\r\nServer: x\r\nSet-Cookie: a=b; Domain=a.example\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nServer: x\r\nSet-Cookie: a=b; Secure; domain=.A.EXAMPLE\r\nContent-Length: 0\r\n\r\n"
    )
    assert one.heard() == (
        b"HTTP/1.1 103 Early Hints\r\nServer: x\r\nSet-Cookie: a=b\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Secure\r\nContent-Length: 0\r\nX-Frame-Options: DENY\r\n"
        b"Set-Cookie: c=d\r\n\r\n"
    )
    one.leave()


def test_what_the_edge_says_itself_is_under_no_rule() -> None:
    one = visit("A:X-Rule:1", "b:ann:tulip")
    one.say(GET)
    assert b"X-Rule" not in one.heard()
    one.leave()
