"""What a client asks for and what it is told, through the whole chain in memory."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from pinggy.edge.ssh.client import ClientSettings
from pinggy.edge.stream import StreamRefused
from tests.support.edges import EdgeInMemory
from tests.support.ssh_pair import Direct, Pair


def answer(d: Deferred[Any]) -> Any:
    """What *d* has fired with by now; its failure is raised."""
    out: list[Any] = []
    d.addBoth(out.append)
    assert out, "not answered yet"
    if hasattr(out[0], "raiseException"):
        out[0].raiseException()
    return out[0]


def not_answered(d: Deferred[Any]) -> bool:
    out: list[Any] = []

    def keep(result: Any) -> Any:
        out.append(result)
        return result

    d.addBoth(keep)
    return not out


def is_refused(d: Deferred[Any]) -> bool:
    try:
        answer(d)
    except Exception:
        return True
    return False


def test_an_anonymous_tunnel_shows_two_notices_and_its_urls(edge: EdgeInMemory) -> None:
    pair = edge.join()
    pair.forward()
    lines = pair.session().lines
    assert lines[:2] == ["You are not authenticated.", "Your tunnel will expire in 60 minutes."]
    name = lines[2].removeprefix("http://").removesuffix(".a.example")
    assert lines[2:] == [f"http://{name}.a.example", f"https://{name}.a.example"]
    assert edge.tunnels.by_name(name) is not None
    assert edge.zone.records[f"{name}.a.example"].target == "local.a.example"


def test_the_operators_line_follows_the_expiry() -> None:
    edge = EdgeInMemory(ClientSettings(notice="Ask for an account at the desk."))
    pair = edge.join()
    pair.forward()
    assert pair.session().lines[1] == "Your tunnel will expire in 60 minutes. Ask for an account at the desk."
    edge.close()


def test_a_session_asks_the_core_at_once_and_silence_after_20_ms(edge: EdgeInMemory) -> None:
    pair = edge.join()
    first = pair.forward()
    assert not_answered(first)
    pair.advance(0.019)
    assert not_answered(first)
    pair.advance(0.001)
    assert answer(first) == struct.pack(">L", 1)
    other = edge.join()
    second = other.forward()
    other.session(None)
    assert answer(second) == struct.pack(">L", 1)


def test_what_is_asked_in_a_row_is_one_question_to_the_core(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice").reveal())
    replies = [pair.forward(name, 1) for name in ("one", "two", "three")]
    pair.session()
    assert [answer(reply) for reply in replies] == [b"", b"", b""]
    assert edge.zone.log == ["publish one.a.example two.a.example three.a.example"]


def test_a_later_forwarding_extends_the_grant(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    session = pair.session()
    later = pair.forward("shop", 1)
    pair.advance(0.02)
    assert answer(later) == b""
    assert session.lines[-2:] == ["http://shop.a.example", "https://shop.a.example"]
    assert len(edge.tunnels) == 1


def test_the_reply_to_port_0_names_a_port_and_to_another_none(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice").reveal())
    replies = [pair.forward("one", 0), pair.forward("two", 0), pair.forward("three", 8080)]
    pair.session()
    assert [answer(reply) for reply in replies] == [struct.pack(">L", 1), struct.pack(">L", 2), b""]


def test_each_refusal_is_a_reply_of_its_own(edge: EdgeInMemory) -> None:
    edge.core.account("bob", names=("taken",))
    pair = edge.join(edge.core.account("alice").reveal())
    good, bad, odd, last = (
        pair.forward("one", 1),
        pair.forward("taken", 1),
        pair.forward("a..b", 1),
        pair.forward("z", 1),
    )
    session = pair.session()
    assert answer(good) == b""
    assert is_refused(bad)
    assert is_refused(odd)
    assert answer(last) == b""
    assert "The name taken is reserved by another account: choose another." in session.lines
    assert not session.over


def test_where_nothing_is_granted_the_last_refusal_ends_the_tunnel(edge: EdgeInMemory) -> None:
    pair = edge.join("alice")
    assert not_answered(reply := pair.forward("blog", 1))
    session = pair.session()
    assert is_refused(reply)
    assert session.lines == ["The name blog needs an account: sign in with a token, or ask without a name."]
    assert session.status == 1
    assert session.over


def test_a_wrong_word_is_named_and_ends_with_status_1(edge: EdgeInMemory) -> None:
    pair = edge.join()
    reply = pair.forward()
    session = pair.session(b"w:10.0.0.0/8 bogus")
    assert session.accepted
    assert len(session.lines) == 1
    assert session.lines[0].startswith("'bogus' is not an option of this service.")
    assert (session.status, session.over) == (1, True)
    answer(reply)


def test_a_session_without_a_forwarding_is_told_how(edge: EdgeInMemory) -> None:
    pair = edge.join()
    session = pair.session()
    pair.advance(2)
    assert session.lines == ["No forwarding was asked for: add -R0:localhost:8000, with the port of your local server."]
    assert session.status == 1


def test_a_connection_that_asks_for_nothing_is_closed(edge: EdgeInMemory) -> None:
    pair = edge.join()
    pair.advance(30)
    assert pair.is_over


def test_two_defaults_and_a_name_asked_twice_are_refused(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice").reveal())
    replies = [pair.forward(), pair.forward(), pair.forward("one", 1), pair.forward("one", 2)]
    session = pair.session()
    assert [is_refused(reply) for reply in replies] == [False, True, False, True]
    assert "Only one forwarding can go without a name: write -R NAME:1:HOST:PORT for the others." in session.lines
    assert "The name one is asked for twice by this connection." in session.lines


def test_udp_is_refused_with_a_sentence(edge: EdgeInMemory) -> None:
    pair = edge.join("udp")
    reply = pair.forward()
    assert is_refused(reply)
    assert pair.session().lines == ["Tunnels of type udp are not served here: use http, tcp, tls or tlstcp."]


def test_thousands_of_forwardings_end_in_refusals(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice").reveal())
    replies = [pair.forward(f"name-{number}", 1) for number in range(1000)]
    pair.session()
    for _ in range(20):
        pair.advance(0.1)
    results = [is_refused(reply) for reply in replies]
    assert results.count(False) == 20
    assert results.count(True) == 980


def test_cancel_withdraws_that_forwarding_alone(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice").reveal())
    replies = [pair.forward("one", 1), pair.forward("two", 0)]
    pair.session()
    assert [answer(reply) for reply in replies] == [b"", struct.pack(">L", 1)]
    assert answer(pair.cancel_forward("two", 1)) == b""
    assert edge.tunnels.by_name("two") is None
    assert list(edge.zone.records) == ["one.a.example"]
    assert is_refused(pair.cancel_forward("two", 1))
    assert answer(pair.cancel_forward("one", 1)) == b""


def test_a_name_can_be_asked_for_again_after_it_was_cancelled(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice").reveal())
    replies = [pair.forward("one", 1), pair.forward("two", 1)]
    pair.session()
    answer(pair.cancel_forward("one", 1))
    again = pair.forward("one", 1)
    pair.advance(0.02)
    assert answer(again) == b""
    assert edge.tunnels.by_name("one") is not None
    for reply in replies:
        answer(reply)


def test_json_lines(edge: EdgeInMemory) -> None:
    token = edge.core.account("alice", names=("blog",)).reveal()
    pair = edge.join(f"{token}+json")
    pair.forward()
    assert pair.session().lines == ['{"type": "urls", "urls": ["http://blog.a.example", "https://blog.a.example"]}']


def test_with_a_pty_lines_end_with_crlf_and_ctrl_c_ends(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    session = pair.session(pty=True)
    assert session.shown == "http://blog.a.example\r\nhttps://blog.a.example\r\n"
    session.write(b"\x03")
    pair.flush()
    assert session.lines[-1] == "You have closed the tunnel."
    assert session.status == 1


def test_an_anonymous_tunnel_expires(edge: EdgeInMemory) -> None:
    pair = edge.join()
    pair.forward()
    session = pair.session()
    for _ in range(3600):
        pair.advance(1)
    assert session.lines[-1] == "Your tunnel has expired: start it again for a new one."
    assert edge.zone.records == {}


# -- when a step fails --------------------------------------------------------------------------------------------


def held_names(edge: EdgeInMemory) -> list[str]:
    rows = answer(edge.core.operator.tunnels())
    return [forwarding for row in rows.tunnels for forwarding in row.forwardings]


def test_a_zone_that_fails_refuses_and_gives_the_grant_back(edge: EdgeInMemory) -> None:
    edge.zone.fails = True
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    reply = pair.forward()
    session = pair.session()
    assert is_refused(reply)
    assert session.lines == ["The name could not be published in DNS: try again soon."]
    assert held_names(edge) == []
    assert edge.tunnels.by_name("blog") is None


def test_a_zone_that_does_not_answer_refuses_and_is_cleaned(edge: EdgeInMemory) -> None:
    edge.zone.forgets = True
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    reply = pair.forward()
    pair.session()
    assert is_refused(reply)
    assert edge.zone.log == ["publish blog.a.example", "withdraw blog.a.example"]
    assert held_names(edge) == []


def test_a_core_that_is_away_refuses_with_a_sentence(edge: EdgeInMemory) -> None:
    pair = edge.join()
    edge.core.away = True
    reply = pair.forward()
    session = pair.session()
    assert is_refused(reply)
    assert "its core does not answer" in session.lines[0]


def test_a_client_that_leaves_while_the_core_is_asked_gives_everything_back(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    edge.core.hold()
    reply = pair.forward()
    pair.session(None)
    pair.vanish()
    edge.core.let_go()
    assert held_names(edge) == []
    assert edge.zone.log == []
    assert is_refused(reply)


def test_a_client_that_leaves_while_the_zone_is_written_gives_everything_back(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    edge.zone.waiting = Deferred()
    reply = pair.forward()
    pair.session(None)
    pair.vanish()
    edge.zone.waiting.callback(None)
    assert edge.zone.log == ["publish blog.a.example", "withdraw blog.a.example"]
    assert held_names(edge) == []
    assert is_refused(reply)


# -- one name, several sessions --------------------------------------------------------------------------------------


def two_sessions(edge: EdgeInMemory, keywords: str = "") -> tuple[Pair, Pair]:
    token = edge.core.account("alice", names=("blog",)).reveal()
    first = edge.join(token)
    first.forward()
    first.session()
    return first, edge.join(token + keywords)


def test_a_busy_name_is_refused_while_its_holder_answers(edge: EdgeInMemory) -> None:
    edge.hear_orders()
    first, second = two_sessions(edge)
    reply = second.forward()
    session = second.session()
    first.flush()
    second.flush()
    assert is_refused(reply)
    assert session.lines[0].startswith("Login is not allowed: A tunnel with the same token (")
    assert session.lines[0].endswith(") is already active.")
    assert not first.is_over


def test_a_ghost_does_not_hold_its_name(edge: EdgeInMemory) -> None:
    edge.hear_orders()
    first, second = two_sessions(edge)
    reply = second.forward()
    session = second.session()
    # The first client is not pumped: it never answers the probe.
    second.advance(1.9)
    assert not_answered(reply)
    second.advance(0.1)
    assert answer(reply) == struct.pack(">L", 1)
    assert session.lines == ["http://blog.a.example", "https://blog.a.example"]
    first.flush()
    assert first.is_over


def test_force_takes_the_name_and_tells_the_old_terminal(edge: EdgeInMemory) -> None:
    token = edge.core.account("alice", names=("blog",)).reveal()
    first = edge.join(token)
    first.forward()
    old = first.session()
    second = edge.join(token + "+force")
    reply = second.forward()
    new = second.session()
    first.flush()
    assert answer(reply) == struct.pack(">L", 1)
    assert new.lines == ["http://blog.a.example", "https://blog.a.example"]
    assert old.lines[-1] == "Taken over: a newer session from 192.0.2.7 has started with force."
    assert old.status == 1
    live = edge.tunnels.by_name("blog")
    assert live is not None
    assert live.forwarding.epoch == edge.zone.records["blog.a.example"].epoch


# -- tcp ports -------------------------------------------------------------------------------------------------------


def test_a_tcp_tunnel_binds_its_port_and_prints_it(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", ports=(20007,)).reveal() + "+tcp")
    pair.forward()
    assert pair.session().lines == ["tcp://tcp-20007.a.example:20007"]
    assert edge.ports.bound[20007].live is not None


def test_a_port_that_another_program_has_is_not_given_out(edge: EdgeInMemory) -> None:
    edge.ports.taken.update(range(20000, 29999))
    pair = edge.join("tcp")
    reply = pair.forward()
    session = pair.session()
    if not is_refused(reply):
        assert list(edge.ports.bound) == [29999]
    else:
        assert "is taken by another program" in session.lines[-1]


def test_a_reserved_port_goes_over_by_force(edge: EdgeInMemory) -> None:
    token = edge.core.account("alice", ports=(20007,)).reveal()
    first = edge.join(token + "+tcp")
    first.forward()
    first.session()
    second = edge.join(token + "+tcp+force")
    second.forward()
    assert second.session().lines == ["tcp://tcp-20007.a.example:20007"]
    live = edge.ports.bound[20007].live
    assert live is not None
    assert len(edge.tunnels) == 1


# -- life ------------------------------------------------------------------------------------------------------------


def test_a_silent_client_is_pinged_and_then_closed(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    pair.session()
    for _ in range(60):
        pair.advance(1)
    assert not pair.is_over, "a client that answers its pings lives on"
    for _ in range(15):
        pair.clock.advance(1)
    assert edge.tunnels.by_name("blog") is None
    assert edge.zone.records == {}


@pytest.mark.parametrize("command", [b"", b"x:https"])
def test_visitors_wait_for_the_command_of_an_open_session(edge: EdgeInMemory, command: bytes) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    reply = pair.forward()
    session = pair.session(None)
    assert answer(reply)
    visit = edge.visit("blog")
    pair.advance(5)
    assert not_answered(visit)
    session.ask(command)
    pair.flush()
    pair.advance(0)
    assert len(pair.connection.forwarded) == 1
    answer(visit).abort()


def test_a_session_that_never_asks_ends_the_tunnel(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    session = pair.session(None)
    for _ in range(30):
        pair.advance(1)
    assert session.lines == ["A session was opened but asked for nothing in 30 seconds: the tunnel is closed."]
    assert edge.tunnels.by_name("blog") is None


def test_without_a_session_visitors_come_after_two_seconds(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    pair.advance(0.02)
    visit = edge.visit("blog")
    pair.advance(1.9)
    assert not_answered(visit)
    pair.advance(0.1)
    answer(visit).abort()


def test_only_the_debugger_can_be_reached_through_direct_tcpip(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    pair.session()
    other, debugger = Direct("localhost", 22), Direct("localhost", 4300)
    pair.connection.openChannel(other, other.target)
    pair.connection.openChannel(debugger, debugger.target)
    pair.flush()
    assert other.refused == "Only localhost:4300, the web debugger, can be reached through -L."
    debugger.write(b"GET /urls HTTP/1.1\r\nHost: localhost:4300\r\nConnection: close\r\n\r\n")
    pair.flush()
    assert debugger.received.endswith(b'{"urls": ["http://blog.a.example", "https://blog.a.example"]}\n')


def test_a_client_that_never_answers_an_open_is_waited_for_30_seconds(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    pair.session()
    pair.connection.ignores_opens = True
    visit = edge.visit("blog")
    for _ in range(29):
        pair.advance(1)
    assert not_answered(visit)
    pair.advance(1)
    with pytest.raises(StreamRefused, match="30 seconds"):
        answer(visit)
    assert edge.tunnels.by_name("blog") is not None, "its pings are answered, so the tunnel lives"


def test_a_client_that_asks_again_and_again_for_what_cannot_be_is_closed(edge: EdgeInMemory) -> None:
    pair = edge.join()
    refused = []
    for _ in range(4):
        if not pair.is_over:
            refused.append(pair.forward("a/b/c", 1))
            pair.advance(1)
    assert pair.is_over
    assert all(is_refused(each) for each in refused)
