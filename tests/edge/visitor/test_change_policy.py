"""
A policy that is replaced while visitors are there: whom the new one does not let in is cut at once, whatever he does.
"""

from __future__ import annotations

import contextlib
import ssl

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from pinggy.edge.client import Peer
from pinggy.edge.peers.greeting import said
from pinggy.edge.relay import Relay
from pinggy.edge.tunnels import LiveForwarding
from pinggy.edge.visitor.raw import relay_to
from pinggy.edge.visitor.tcp import TcpVisitor
from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.policy import Policy
from pinggy.tunnel.request import Kind
from tests.edge.peers.pair import VISITOR, Far, Joined, passage
from tests.edge.visitor.conftest import DOMAIN, Edge
from tests.edge.visitor.h2_visits import H2Visit
from tests.edge.visitor.test_tls import TlsVisitorInMemory
from tests.edge.visitor.test_tls import visit as tls_visit
from tests.edge.visitor.visits import Visit
from tests.http.test_clienthello import real_hello
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.transports import VisitorTransport
from tests.support.visitors import say_in_tls, tls_context

# Of 192.0.2.7, where visitors in memory come from.
IN = parse_policy(("w:192.0.2.0/24",))
OUT = parse_policy(("w:198.51.100.0/24",))


def tcp_visitor(live: LiveForwarding, host: str = "192.0.2.7") -> VisitorTransport:
    return VisitorTransport(TcpVisitor(live, Peer(host, 40000), Clock()), host)


# -- the seam --------------------------------------------------------------------------------------------------------


def test_the_next_visitor_meets_the_new_policy() -> None:
    client = FakeClient()
    live = live_forwarding(client, kind=Kind.TCP)
    live.tunnel.change_policy(OUT)
    assert tcp_visitor(live).aborted
    assert not client.opened
    live.tunnel.change_policy(IN)
    assert not tcp_visitor(live).aborted
    assert len(client.opened) == 1


@pytest.mark.parametrize("policy", [Policy(), IN, parse_policy(("b:a:b", "x:rate:1/h"))])
def test_whom_the_new_policy_lets_in_notices_nothing(policy: Policy) -> None:
    client = FakeClient()
    live = live_forwarding(client, kind=Kind.TCP)
    visitor = tcp_visitor(live)
    live.tunnel.change_policy(policy)
    assert not visitor.aborted
    visitor.sends(b"hello")
    assert client.opened[0].written == b"hello"
    visitor.resets()
    assert not live.tunnel.present


def test_only_a_policy_that_is_in_force_can_be_replaced() -> None:
    live = live_forwarding(in_force=False, kind=Kind.TCP)
    live.tunnel.change_policy(OUT)
    waiting = live.tunnel.policy()
    live.tunnel.life.command_read(IN)
    live.tunnel.life_changed()
    assert waiting.result is IN


def test_of_many_those_go_who_are_not_let_in() -> None:
    live = live_forwarding(FakeClient(), kind=Kind.TCP)
    hosts = ["192.0.2.7", "::ffff:192.0.2.8", "198.51.100.1", "::ffff:198.51.100.2", "2001:db8::1", "2001:db9::1"]
    visitors = {host: tcp_visitor(live, host) for host in hosts}
    live.tunnel.change_policy(parse_policy(("w:192.0.2.0/24,2001:db8::/32",)))
    assert {host for host, visitor in visitors.items() if visitor.aborted} == {hosts[2], hosts[3], hosts[5]}
    for visitor in visitors.values():
        visitor.closes()
    assert not live.tunnel.present
    assert live.tunnel.tally.open == 0


class Idle:
    def __init__(self) -> None:
        self.closed = False

    def close_if_idle(self) -> None:
        self.closed = True


@pytest.mark.parametrize("word", ["x:haproxy", "x:localServerTls", "x:h2"])
def test_a_kept_stream_that_began_otherwise_is_not_kept_on(word: str) -> None:
    live, idle = live_forwarding(), Idle()
    live.tunnel.kept.add(idle)
    live.tunnel.change_policy(parse_policy(("a:X:y", "w:192.0.2.7")))
    assert not idle.closed
    live.tunnel.change_policy(parse_policy((word,)))
    assert idle.closed


# -- raw -------------------------------------------------------------------------------------------------------------


def test_a_raw_visitor_is_cut_both_ways() -> None:
    client = FakeClient()
    live = live_forwarding(client, kind=Kind.TCP)
    visitor = tcp_visitor(live)
    visitor.sends(b"hello")
    live.tunnel.change_policy(OUT)
    assert visitor.aborted
    visitor.closes()
    assert client.opened[0].aborted
    assert live.tunnel.tally.open == 0
    assert not live.tunnel.present


def test_a_raw_visitor_whose_stream_is_being_opened_is_cut() -> None:
    client = FakeClient(slow=True)
    live = live_forwarding(client, kind=Kind.TCP)
    visitor = tcp_visitor(live)
    live.tunnel.change_policy(OUT)
    assert visitor.aborted
    visitor.closes()
    stream = FakeStream()
    client.asked[0].callback(stream)
    assert stream.aborted
    assert not stream.written
    assert live.tunnel.tally.open == 0
    assert not live.tunnel.present


def test_who_has_left_is_not_cut() -> None:
    live = live_forwarding(FakeClient(), kind=Kind.TCP)
    visitor = tcp_visitor(live)
    visitor.resets()
    live.tunnel.change_policy(OUT)
    assert not visitor.aborted


def test_a_visitor_s_relay_enters_once() -> None:
    live = live_forwarding(FakeClient(), kind=Kind.TCP)
    relay = Relay(live.tunnel, Clock())
    transport = VisitorTransport(relay)
    relay_to(live, Peer("192.0.2.7", 40000), relay, Clock())
    assert len(live.tunnel.present) == 1
    transport.resets()
    assert not live.tunnel.present


# -- HTTP ------------------------------------------------------------------------------------------------------------

GET = b"GET /a HTTP/1.1\r\nHost: shop.a.example\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: shop.a.example\r\nContent-Length: 5\r\n\r\n12"
WEBSOCKET = b"GET /ws HTTP/1.1\r\nHost: shop.a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
BEGINNING = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhi"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.parametrize(
    ("asks", "answered"),
    [
        (GET, OK),  # and is idle now
        (GET, BEGINNING),  # is in the middle of it
        (POST, OK),  # and has been answered before the end of it
        (WEBSOCKET, SWITCHING),
    ],
)
def test_an_http_visitor_to_whom_nothing_can_be_said_is_cut(asks: bytes, answered: bytes) -> None:
    visit = Visit()
    visit.say(asks)
    visit.stream.client_sends(answered)
    visit.shop.tunnel.change_policy(IN)
    assert not visit.transport.aborted
    visit.heard()
    visit.shop.tunnel.change_policy(OUT)
    assert visit.transport.aborted
    if answered != OK or asks == POST:
        assert visit.stream.aborted
    visit.stream.client_sends(b"secret")
    assert not visit.heard()
    visit.leave()
    assert not visit.shop.tunnel.present


@pytest.mark.parametrize("asks", [GET, POST, GET + GET, POST + b"345" + WEBSOCKET])
def test_an_http_visitor_who_waits_for_an_answer_gets_this_and_no_other(asks: bytes) -> None:
    visit = Visit()
    visit.say(asks)
    visit.shop.tunnel.change_policy(IN)
    assert not visit.heard()
    visit.shop.tunnel.change_policy(OUT)
    assert visit.stream.aborted
    heard = visit.heard()
    assert heard.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"\r\nConnection: close\r\n" in heard
    assert visit.transport.half_closed
    written = bytes(visit.stream.written)
    visit.stream.client_sends(OK)
    visit.say(b"345" + GET)
    assert not visit.heard()
    assert bytes(visit.stream.written) == written
    assert len(visit.client.opened) == 1
    visit.shop.tunnel.change_policy(IN)
    visit.shop.tunnel.change_policy(OUT)
    assert visit.transport.aborted
    visit.leave()
    assert not visit.shop.tunnel.present


def test_an_http_visitor_whose_stream_is_being_opened_is_cut() -> None:
    client = FakeClient(slow=True)
    visit = Visit(live_forwarding(client))
    visit.say(GET)
    visit.shop.tunnel.change_policy(OUT)
    assert visit.heard().startswith(b"HTTP/1.1 403 ")
    stream = FakeStream()
    client.asked[0].callback(stream)
    assert stream.aborted
    assert not stream.written
    visit.leave()
    assert not visit.shop.tunnel.present


def test_one_who_was_not_given_the_password_is_cut_too() -> None:
    visit = Visit(live_forwarding(policy=parse_policy(("b:ann:tulip",))))
    visit.say(GET)
    assert b" 401 " in visit.heard()
    visit.shop.tunnel.change_policy(OUT)
    assert visit.transport.aborted
    visit.leave()


def test_one_who_has_turned_to_another_tunnel_is_not_cut_by_the_first() -> None:
    visit = Visit(live_forwarding(FakeClient(answer=answers_ok)), live_forwarding(FakeClient(), name="blog"))
    visit.say(GET)
    blog = visit.tunnels.by_name("blog")
    assert blog is not None
    visit.say(GET.replace(b"shop", b"blog"))
    visit.shop.tunnel.change_policy(OUT)
    assert not visit.transport.aborted
    assert not visit.shop.tunnel.present
    visit.heard()
    blog.tunnel.change_policy(OUT)
    assert visit.heard().startswith(b"HTTP/1.1 403 ")
    visit.leave()
    assert not blog.tunnel.present


def answers_ok(stream: FakeStream, data: bytes) -> None:
    stream.client_sends(OK)


def test_the_next_request_has_the_new_policy() -> None:
    visit = Visit(live_forwarding(FakeClient(answer=answers_ok)))
    visit.say(GET)
    assert visit.heard() == OK
    visit.shop.tunnel.change_policy(parse_policy(("b:ann:tulip",)))
    visit.say(GET)
    assert b" 401 " in visit.heard()
    visit.shop.tunnel.change_policy(parse_policy(("a:X-New:1",)))
    visit.stream.written.clear()
    visit.say(GET)
    assert visit.heard() == OK
    assert b"\r\nX-New: 1\r\n" in visit.asked()
    visit.leave()


def test_a_stream_that_began_otherwise_is_not_used_again_even_if_it_was_busy_meanwhile() -> None:
    visit = Visit(live_forwarding(policy=parse_policy(("x:haproxy",))))
    visit.say(GET)
    first = visit.stream
    visit.shop.tunnel.change_policy(parse_policy(("x:haproxy", "a:X:y")))
    first.client_sends(OK)
    visit.say(GET)
    assert visit.stream is first
    visit.shop.tunnel.change_policy(parse_policy(("x:haproxy:v2",)))
    first.client_sends(OK)
    assert visit.heard() == OK + OK
    visit.say(GET)
    assert first.closed
    assert visit.asked().startswith(b"\r\n\r\n\0\r\nQUIT\n")
    visit.leave()


def test_a_second_request_to_another_host_meets_its_whitelist() -> None:
    client = FakeClient()
    visit = Visit(live_forwarding(FakeClient(answer=answers_ok)), live_forwarding(client, name="blog", policy=OUT))
    visit.say(GET)
    assert visit.heard() == OK
    visit.say(GET.replace(b"shop", b"blog"))
    assert visit.transport.aborted
    assert not visit.heard()
    assert not client.opened
    visit.leave()


def test_the_same_words_at_another_tunnel_are_asked_anew() -> None:
    """The very same value is in force at both: he is present at the second one all the same."""
    visit = Visit(
        live_forwarding(FakeClient(answer=answers_ok), policy=IN),
        live_forwarding(FakeClient(answer=answers_ok), name="blog", policy=IN),
    )
    visit.say(GET)
    visit.say(GET.replace(b"shop", b"blog"))
    blog = visit.tunnels.by_name("blog")
    assert blog is not None
    assert len(blog.tunnel.present) == 1
    assert not visit.shop.tunnel.present
    visit.leave()


# -- HTTP/2 ----------------------------------------------------------------------------------------------------------


def test_an_http2_visitor_is_cut_whatever_he_does() -> None:
    visit = H2Visit()
    done, heard, sending = visit.ask(), visit.ask(), visit.ask("PUT", "/", end=False)
    streams = visit.client.opened
    visit.answer(OK, streams[0])
    visit.answer(OK[:-1], streams[1])
    visit.shop.tunnel.change_policy(IN)
    assert not any(stream.aborted for stream in streams)
    visit.shop.tunnel.change_policy(OUT)
    visit.exchange()
    assert all(stream.aborted for stream in streams[1:])
    assert visit.has_ended(done)
    assert visit.reset(heard) is not None
    assert visit.fields(sending)[":status"] == "403"
    visit.leave()
    assert not visit.shop.tunnel.present


def test_an_http2_visitor_whose_stream_is_being_opened_is_cut() -> None:
    client = FakeClient(slow=True)
    visit = H2Visit(live_forwarding(client))
    number = visit.ask()
    visit.shop.tunnel.change_policy(OUT)
    visit.exchange()
    assert visit.fields(number)[":status"] == "403"
    stream = FakeStream()
    client.asked[0].callback(stream)
    assert stream.aborted
    assert not stream.written
    visit.leave()


def test_he_keeps_what_other_tunnels_give_him_over_the_same_connection() -> None:
    blogger = FakeClient()
    shop, blog = live_forwarding(), live_forwarding(blogger, name="blog")
    visit = H2Visit(shop, blog)
    number = visit.ask(host="blog.a.example")
    (stream,) = blogger.opened
    visit.answer(OK[:-1], stream)
    visit.ask()
    shop.tunnel.change_policy(OUT)
    assert visit.stream.aborted
    assert visit.reset(visit.ask()) is not None
    visit.answer(OK[-1:], stream)
    assert visit.content(number) == b"hi"
    assert visit.has_ended(number)
    visit.leave()
    assert not blog.tunnel.present


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.HTTP, Kind.TLS, Kind.TLSTCP])
def test_a_visitor_in_the_middle_of_his_handshake_is_cut(still_edge: Edge, kind: Kind) -> None:
    live = still_edge.add(live_forwarding(FakeClient(), kind=kind))
    visitor = tls_visit(still_edge)
    visitor.sends(real_hello(f"shop.{DOMAIN}"))
    live.tunnel.change_policy(OUT)
    assert visitor.aborted
    visitor.closes()
    assert not live.tunnel.present
    assert live.tunnel.tally.open == 0
    assert still_edge.clock.getDelayedCalls() == []


def test_a_visitor_inside_tls_is_cut(still_edge: Edge) -> None:
    client = FakeClient()
    live = still_edge.add(live_forwarding(client, kind=Kind.TLSTCP))
    visitor = TlsVisitorInMemory(still_edge)
    visitor.tls.write(b"hello")
    visitor.flush()
    assert client.opened[0].written == b"hello"
    live.tunnel.change_policy(OUT)
    assert visitor.transport.aborted
    visitor.transport.closes()
    assert client.opened[0].over
    assert not live.tunnel.present
    assert live.tunnel.tally.open == 0
    assert still_edge.clock.getDelayedCalls() == []


def test_an_https_visitor_who_has_asked_nothing_yet_is_cut(still_edge: Edge) -> None:
    live = still_edge.add(live_forwarding(FakeClient()))
    visitor = TlsVisitorInMemory(still_edge)
    live.tunnel.change_policy(IN)
    assert not visitor.transport.aborted
    live.tunnel.change_policy(OUT)
    assert visitor.transport.aborted
    visitor.transport.closes()
    assert not live.tunnel.present
    assert still_edge.clock.getDelayedCalls() == []


def test_an_https_visitor_who_asks_is_at_the_tunnels_that_he_asks_for(still_edge: Edge) -> None:
    """The tunnel that his hello named is not asked about his requests to others."""
    live = still_edge.add(live_forwarding(FakeClient()))
    visitor = TlsVisitorInMemory(still_edge)
    assert live.tunnel.present
    visitor.tls.write(b"GET / ")
    visitor.flush()
    assert not live.tunnel.present
    live.tunnel.change_policy(OUT)
    assert not visitor.transport.aborted
    visitor.transport.closes()
    assert still_edge.clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_a_visitor_over_real_tls_reads_a_broken_connection(edge: Edge) -> None:
    client = FakeClient()
    live = edge.add(live_forwarding(client, kind=Kind.TLSTCP))
    opened = client.next_stream()
    visit = say_in_tls(edge.port, f"shop.{DOMAIN}", tls_context(edge.certificate.ca), b"hello")
    stream = await opened
    stream.client_sends(b"the beginning")
    live.tunnel.change_policy(OUT)
    stream.client_sends(b"secret")
    # The reset may come while he is reading.
    with contextlib.suppress(ssl.SSLEOFError):
        assert b"secret" not in await visit
    await edge.limit.empty()
    assert stream.over
    assert not live.tunnel.present


# -- visitors of another edge ----------------------------------------------------------------------------------------


class Noted:
    """A receiver that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stream_data(self, data: bytes) -> None:
        self.told.append(data.decode())

    def stream_ended(self) -> None:
        self.told.append("ended")

    def stream_closed(self) -> None:
        self.told.append("closed")

    def stream_full(self) -> None: ...

    def stream_drained(self) -> None: ...


def test_a_visitor_who_came_by_another_edge_is_cut() -> None:
    far, client = Far(), FakeClient()
    live = live_forwarding(client, kind=Kind.TCP, name="port", epoch=7)
    far.tunnels.add(live)
    joined = Joined(far)
    joined.link.ask(said(passage(), 7, DOMAIN), b"")
    joined.pump()
    noted = Noted()
    joined.link.stream.attach(noted)
    client.opened[0].client_sends(b"hello")
    joined.pump()
    assert noted.told == ["hello"]
    assert [each.host for each in live.tunnel.present] == [VISITOR.host]
    live.tunnel.change_policy(OUT)
    client.opened[0].client_sends(b"secret")
    joined.pump()
    joined.far.closes()
    joined.near.closes()
    assert noted.told == ["hello", "closed"]
    assert client.opened[0].aborted
    assert not live.tunnel.present
    assert live.tunnel.tally.open == 0
