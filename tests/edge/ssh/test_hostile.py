"""What a client may do once it is logged in: nothing grows without bound, and nothing outlives its connection."""

from __future__ import annotations

import struct

import pytest
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import MSG_CHANNEL_OPEN_FAILURE, MSG_GLOBAL_REQUEST
from twisted.conch.ssh.transport import MSG_SERVICE_REQUEST
from twisted.internet.defer import Deferred

from pinggy.edge.ssh.connection import OrderedConnection
from pinggy.edge.ssh.userauth import UserAuth
from tests.support.edges import EdgeInMemory
from tests.support.ssh_pair import Direct, Pair, Session


def test_a_session_whose_packets_hold_nothing_is_refused(edge: EdgeInMemory) -> None:
    pair = edge.join()
    session = Session(b"")
    session.localMaxPacket = 0
    pair.connection.openChannel(session)
    pair.advance(0)
    assert session.refused is not None


def test_a_client_that_fails_an_open_channel_leaves_nothing_behind(edge: EdgeInMemory) -> None:
    pair = edge.join()
    pair.session(command=None)
    pair.client.sendPacket(MSG_CHANNEL_OPEN_FAILURE, struct.pack(">2L", 0, 1) + NS(b"no") + NS(b""))
    pair.flush()
    assert pair.is_over
    assert not edge.factory._clients


def test_requests_during_a_key_exchange_end_the_connection(edge: EdgeInMemory) -> None:
    pair = edge.join()
    ask_past_the_keys(pair)
    assert pair.is_over


def ask_past_the_keys(pair: Pair) -> None:
    pair.client.sendKexInit()
    pair.client._keyExchangeState = pair.client._KEY_EXCHANGE_NONE
    pair.client.sendPacket(MSG_GLOBAL_REQUEST, NS(b"anything") + b"\1")
    pair.flush()


def test_keys_may_change_while_a_tunnel_is_live(edge: EdgeInMemory) -> None:
    pair = edge.join()
    session = pair.session()
    pair.client.connectionSecure = lambda: None  # type: ignore[method-assign]
    pair.client.sendKexInit()
    pair.flush()
    pair.forward()
    pair.advance(0.1)
    assert not pair.is_over
    assert session.lines[0] == "You are not authenticated."


@pytest.mark.parametrize("service", [b"ssh-userauth", b"ssh-connection"])
def test_nobody_logs_in_twice(edge: EdgeInMemory, service: bytes) -> None:
    pair = edge.join()
    pair.client.sendPacket(MSG_SERVICE_REQUEST, NS(service))
    pair.flush()
    assert pair.is_over


def test_a_channel_request_that_cannot_be_read_ends_the_connection(edge: EdgeInMemory) -> None:
    pair = edge.join()
    session = pair.session(command=None)
    pair.connection.sendRequest(session, b"exec", b"", wantReply=0)
    pair.flush()
    assert pair.is_over


def test_a_login_request_that_waited_and_cannot_be_read_ends_the_connection(edge: EdgeInMemory) -> None:
    pair = edge.join("me+auth")
    service = pair.server.service
    assert isinstance(service, UserAuth)
    service._waiting.append(b"\0\0\0\1")
    service._done(None)
    pair.flush()
    assert pair.is_over


def test_a_client_that_asks_and_never_reads_is_cut_off(edge: EdgeInMemory) -> None:
    pair = edge.join()
    service = pair.server.service
    assert isinstance(service, OrderedConnection)
    service.pauseProducing()
    for _ in range(5000):
        pair.connection.sendGlobalRequest(b"anything", b"", wantReply=1).addErrback(lambda _: None)
    pair.flush()
    assert pair.is_over


def test_a_client_that_does_not_read_the_reason_is_cut_off(edge: EdgeInMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = edge.join()
    monkeypatch.setattr(pair.server.transport, "loseConnection", lambda: None)
    monkeypatch.setattr(pair.client, "dataReceived", lambda data: None)
    pair.server.disconnect("Go.")
    pair.flush()
    assert not pair.is_over
    pair.advance(10)
    assert pair.is_over


class Unread(Direct):
    """A direct-tcpip channel that takes no answer."""

    def __init__(self) -> None:
        super().__init__("localhost", 4300)
        self.localWindowSize = self.localWindowLeft = 0


def test_the_debugger_reads_no_requests_while_its_answers_are_not_taken(edge: EdgeInMemory) -> None:
    pair = edge.join()
    channel = Unread()
    pair.connection.openChannel(channel, channel.target)
    pair.flush()
    for _ in range(20):
        channel.write(b"GET /urls HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
        pair.flush()
    assert isinstance(channel.buf, bytes)
    assert len(channel.buf) > 500_000
    pair.connection.serviceStopped()


def test_a_forwarding_that_was_withdrawn_and_asked_for_again_can_be_withdrawn_again(edge: EdgeInMemory) -> None:
    pair = edge.join()
    pair.session()
    for _ in range(2):
        pair.forward("localhost", 8000)
        pair.advance(0.1)
        assert len(edge.tunnels) == 1
        withdrawn: list[object] = []
        pair.cancel_forward("localhost", 8000).addBoth(withdrawn.append)
        pair.flush()
        assert len(edge.tunnels) == 0
        assert isinstance(withdrawn[0], bytes)


def test_refusals_do_not_pile_up_while_the_core_is_asked(edge: EdgeInMemory) -> None:
    pair = edge.join()
    session = pair.session()
    edge.zone.waiting = Deferred()
    pair.forward()
    pair.advance(0.1)
    for _ in range(100):
        pair.forward("no//no//no").addErrback(lambda _: None)
    edge.zone.waiting.callback(None)
    pair.flush()
    assert 10 < len(session.lines) < 50
