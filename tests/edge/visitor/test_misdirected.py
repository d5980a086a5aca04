"""
Which hosts one connection may ask for, one after the other: 421 where TLS was for others.
"""

from __future__ import annotations

import pytest

from pinggy.edge.elsewhere import Mode, Nowhere
from pinggy.edge.visitor.secured import Secured
from pinggy.tunnel.request import Kind
from tests.edge.visitor.h2_visits import H2Visit
from tests.edge.visitor.test_elsewhere import Asked, status
from tests.edge.visitor.visits import Visit, secured
from tests.support.streams import FakeClient, live_forwarding

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def get(host: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


@pytest.mark.parametrize("server_name", ["shop.a.example", "nobody.a.example", None])
def test_one_connection_may_ask_for_all_that_its_certificate_is_for(server_name: str | None) -> None:
    other = live_forwarding(name="other")
    visit = Visit(live_forwarding(), other, secure=True, secured=secured(server_name))
    for host, kept in (("shop.a.example", visit.client), ("OTHER.a.example:443", other.tunnel.client)):
        visit.say(get(host))
        assert isinstance(kept, FakeClient)
        kept.opened[-1].client_sends(OK)
        assert status(visit.heard()) == 200
    visit.leave()


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (("shop.a.example",), "other.a.example"),
        (("shop.a.example",), "nobody.a.example"),
        (("*.a.example",), "x.shop.a.example"),
        (("*.a.example",), "elsewhere.example"),
        (("*.a.example",), "a.example"),
        (("*.a.example",), "192.0.2.1"),
    ],
)
def test_what_the_certificate_is_not_for_is_misdirected(names: tuple[str, ...], host: str) -> None:
    other = live_forwarding(name="other")
    visit = Visit(live_forwarding(), other, secure=True, secured=secured("shop.a.example", *names))
    visit.say(get(host))
    assert status(visit.heard()) == 421
    # The connection is good for what it was opened for.
    visit.say(get("shop.a.example"))
    visit.stream.client_sends(OK)
    assert status(visit.heard()) == 200
    visit.leave()


def test_he_who_named_the_host_in_his_hello_is_served_whatever_the_certificate_says() -> None:
    visit = Visit(secure=True, secured=secured("shop.a.example", "something.else.example"))
    visit.say(get("shop.a.example"))
    visit.stream.client_sends(OK)
    assert status(visit.heard()) == 200
    visit.leave()


@pytest.mark.parametrize(
    ("kind", "tls", "expected"),
    [
        (Kind.TLS, secured("shop.a.example"), 421),
        (Kind.TLSTCP, secured("shop.a.example"), 421),
        (Kind.TLS, secured("own.a.example"), 421),
        (Kind.TLS, secured(None), 421),
        (Kind.TCP, secured("shop.a.example"), 404),
        (Kind.TLS, None, 404),
        (Kind.TLSTCP, None, 404),
    ],
)
def test_a_tunnel_with_tls_to_itself_is_met_by_a_connection_of_its_own(
    kind: Kind, tls: Secured | None, expected: int
) -> None:
    own = live_forwarding(name="own", kind=kind)
    visit = Visit(live_forwarding(), own, secure=tls is not None, secured=tls)
    visit.say(get("own.a.example"))
    assert status(visit.heard()) == expected
    assert own.tunnel.tally.visitors == 0
    visit.leave()


def test_of_many_requests_at_once_only_those_are_that_the_connection_is_not_for() -> None:
    own = live_forwarding(name="own", kind=Kind.TLS)
    shop, other = live_forwarding(FakeClient()), live_forwarding(FakeClient(), name="other")
    visit = H2Visit(shop, other, own, secured=secured("shop.a.example"))
    numbers = [
        visit.ask(host=host) for host in ("own.a.example", "elsewhere.example", "other.a.example", "shop.a.example")
    ]
    assert isinstance(other.tunnel.client, FakeClient)
    for client in (other.tunnel.client, visit.client):
        visit.answer(OK, client.opened[-1])
    assert [visit.fields(number)[":status"] for number in numbers] == ["421", "421", "200", "200"]
    visit.leave()


@pytest.mark.parametrize(("kind", "expected"), [(Kind.TLS, 421), (Kind.TLSTCP, 421), (Kind.TCP, 404), (None, 404)])
def test_so_is_one_that_another_edge_has(kind: Kind | None, expected: int) -> None:
    asked = Asked()
    visit = Visit(secure=True, secured=secured("shop.a.example"), elsewhere=asked)
    visit.say(get("own.a.example"))
    assert [(each.name, each.mode) for each in asked.passages] == [("own", Mode.HTTP)]
    asked.answers(Nowhere(kind))
    assert status(visit.heard()) == expected
    visit.leave()


def test_nobody_asks_another_edge_for_what_is_misdirected() -> None:
    asked = Asked()
    visit = Visit(secure=True, secured=secured("shop.a.example", "shop.a.example"), elsewhere=asked)
    visit.say(get("own.a.example"))
    assert status(visit.heard()) == 421
    assert asked.passages == []
    visit.leave()
