"""The key exchange as clients of all kinds meet it: late ones, strict ones, those that share nothing; and new keys."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.transport import DISCONNECT_KEY_EXCHANGE_FAILED, DISCONNECT_PROTOCOL_ERROR
from twisted.internet.testing import StringTransportWithDisconnection

from pinggy.edge.ssh.client import ClientSettings
from pinggy.edge.ssh.packets.agreement import STRICT_CLIENT, STRICT_SERVER, Offer, read_kexinit
from pinggy.edge.ssh.packets.names import CIPHERS
from pinggy.edge.ssh.packets.padding import Padding
from pinggy.edge.ssh.packets.reader import PacketReader
from pinggy.edge.ssh.packets.suites import NullSealer
from pinggy.edge.ssh.sealed import KEXINIT_WAIT
from pinggy.edge.stream import Stream, StreamReceiver
from tests.support.edges import EdgeInMemory
from tests.support.ssh_pair import CLIENT

DISCONNECT, IGNORE, SERVICE_REQUEST, KEXINIT, NEWKEYS, ECDH_INIT = 1, 2, 5, 20, 21, 30
OFFER = Offer(
    kex=(b"curve25519-sha256", STRICT_CLIENT),
    host_key=(b"ssh-ed25519",),
    cipher_c2s=(b"aes256-ctr", b"aes128-gcm@openssh.com"),
    cipher_s2c=(b"aes256-ctr", b"aes128-gcm@openssh.com"),
    mac_c2s=(b"hmac-sha2-256",),
    mac_s2c=(b"hmac-sha2-256",),
)


class Wire(StringTransportWithDisconnection):
    def abortConnection(self) -> None:
        self.loseConnection()


class Stranger:
    """A client of our own making, before there are keys."""

    def __init__(self, edge: EdgeInMemory) -> None:
        self._clock = edge.clock
        self.server = edge.factory.buildProtocol(CLIENT)
        self.wire = Wire(peerAddress=CLIENT)
        self.wire.protocol = self.server
        self.server.makeConnection(self.wire)
        self._sealer = NullSealer(Padding())
        self._reader = PacketReader()
        self.server.dataReceived(b"SSH-2.0-stranger\r\n")
        self._skip = len(b"SSH-2.0-pinggy\r\n")

    def send(self, kind: int, message: bytes = b"") -> None:
        if self.wire.connected:
            self.server.dataReceived(self._sealer.seal(0, (bytes([kind]), message)))

    def offer(self, offer: Offer = OFFER) -> None:
        self.send(KEXINIT, offer.encode(bytes(16)))

    def read(self) -> Iterator[bytes]:
        """The packets that have come since the last time."""
        said = self.wire.value()[self._skip :]
        self._skip = 0
        self.wire.clear()
        self._reader.feed(said)
        while (payload := self._reader.next()) is not None:
            yield bytes(payload)

    def goodbye(self) -> tuple[int, str]:
        """The code and the text of the disconnect that ended the connection."""
        *_, last = self.read()
        assert last[0] == DISCONNECT
        (code,) = struct.unpack_from(">L", last, 1)
        assert not self.wire.connected
        return code, getNS(last[5:])[0].decode()


@pytest.fixture
def stranger(edge: EdgeInMemory) -> Iterator[Stranger]:
    made = Stranger(edge)
    yield made
    if made.wire.connected:
        made.wire.loseConnection()


def test_our_offer_waits_for_the_clients_and_leaves_one_cipher(stranger: Stranger) -> None:
    assert list(stranger.read()) == []
    stranger.offer()
    (ours,) = stranger.read()
    offer, _ = read_kexinit(ours[1:])
    assert offer.cipher_c2s == offer.cipher_s2c == (b"aes128-gcm@openssh.com",)
    assert STRICT_SERVER in offer.kex


def test_a_client_that_waits_for_our_offer_gets_all_of_it(stranger: Stranger, edge: EdgeInMemory) -> None:
    edge.clock.advance(KEXINIT_WAIT)
    (ours,) = stranger.read()
    offer, _ = read_kexinit(ours[1:])
    assert offer.cipher_c2s == tuple(CIPHERS)
    stranger.offer()
    assert stranger.wire.connected


def test_no_outdated_algorithm_is_offered(stranger: Stranger, edge: EdgeInMemory) -> None:
    edge.clock.advance(KEXINIT_WAIT)
    (ours,) = stranger.read()
    offer, _ = read_kexinit(ours[1:])
    names = b",".join((*offer.kex, *offer.cipher_c2s, *offer.mac_c2s))
    for outdated in (b"cbc", b"3des", b"md5", b"sha1", b"group1-", b"arcfour"):
        assert outdated not in names
    assert b"ssh-dss" not in offer.host_key


def test_the_operator_chooses_what_is_offered() -> None:
    edge = EdgeInMemory(ClientSettings(ciphers=(b"aes256-ctr",), macs=(b"hmac-sha2-512",)))
    stranger = Stranger(edge)
    edge.clock.advance(KEXINIT_WAIT)
    (ours,) = stranger.read()
    offer, _ = read_kexinit(ours[1:])
    assert (offer.cipher_c2s, offer.mac_s2c) == ((b"aes256-ctr",), (b"hmac-sha2-512",))
    stranger.wire.loseConnection()


def test_a_client_that_shares_nothing_reads_what_it_lacks(stranger: Stranger) -> None:
    stranger.offer(replace(OFFER, cipher_c2s=(b"aes128-cbc", b"3des-cbc")))
    code, text = stranger.goodbye()
    assert code == DISCONNECT_KEY_EXCHANGE_FAILED
    assert text.startswith("Your client offers no cipher that this service has: it has aes128-gcm@openssh.com, ")


@pytest.mark.parametrize("strict", [True, False])
def test_strict_clients_may_send_nothing_else_before_their_keys(stranger: Stranger, strict: bool) -> None:
    stranger.offer(OFFER if strict else replace(OFFER, kex=(b"curve25519-sha256",)))
    stranger.send(IGNORE, NS(b""))
    assert stranger.wire.connected is not strict
    if strict:
        assert stranger.goodbye()[0] == DISCONNECT_PROTOCOL_ERROR


def test_a_strict_clients_offer_is_its_first_packet(stranger: Stranger) -> None:
    stranger.send(IGNORE, NS(b""))
    assert stranger.wire.connected
    stranger.offer()
    assert stranger.goodbye() == (DISCONNECT_PROTOCOL_ERROR, "Something came before the KEXINIT.")


@pytest.mark.parametrize(
    "kinds",
    [
        (SERVICE_REQUEST,),
        (NEWKEYS,),
        (ECDH_INIT,),
        (KEXINIT, KEXINIT),
        (KEXINIT, NEWKEYS),
        (KEXINIT, SERVICE_REQUEST),
        (90,),
        (KEXINIT, 94),
    ],
)
def test_what_comes_out_of_turn_ends_the_connection(stranger: Stranger, kinds: tuple[int, ...]) -> None:
    messages = {KEXINIT: OFFER.encode(bytes(16)), ECDH_INIT: NS(bytes([9]) * 32)}
    for kind in kinds:
        stranger.send(kind, messages.get(kind, NS(b"ssh-userauth")))
    assert stranger.goodbye()[0] == DISCONNECT_PROTOCOL_ERROR


@pytest.mark.parametrize("kind", [ECDH_INIT, IGNORE, KEXINIT, SERVICE_REQUEST])
def test_nothing_but_newkeys_follows_the_key_exchange(stranger: Stranger, kind: int) -> None:
    stranger.offer()
    stranger.send(ECDH_INIT, NS(bytes([9]) + bytes(31)))
    assert stranger.wire.connected
    stranger.send(kind, NS(bytes([9]) + bytes(31)))
    # What it is told is sealed with keys that it has not.
    assert not stranger.wire.connected


# -- new keys ---------------------------------------------------------------------------------------------------------


class Sink(StreamReceiver):
    """A visitor who takes all."""

    def __init__(self) -> None:
        self.received = b""

    def begin(self, stream: Stream) -> None:
        self.stream = stream
        stream.attach(self)

    def stream_data(self, data: bytes) -> None:
        self.received += data

    def stream_ended(self) -> None: ...

    def stream_closed(self) -> None: ...

    def stream_full(self) -> None: ...

    def stream_drained(self) -> None: ...


def test_keys_change_by_our_own_limit_in_the_middle_of_bytes_both_ways(edge: EdgeInMemory) -> None:
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal())
    pair.forward()
    pair.session()
    sink = Sink()
    edge.visit("blog").addCallback(sink.begin)
    pair.flush()
    pair.server.rekeyBytes = 100_000
    visit = pair.connection.forwarded[0]
    payload = bytes(range(256)) * 8000
    visit.write(payload)
    sink.stream.write(payload)
    pair.flush()
    assert sink.received == payload
    assert visit.received == payload
    assert pair.server.exchanges > 1
    sink.stream.abort()


def test_keys_change_when_they_are_old(edge: EdgeInMemory) -> None:
    pair = edge.join()
    pair.server.rekeySeconds = 5.0
    pair.advance(6.0)
    pair.client.sendIgnore(b"")
    pair.flush()
    assert pair.server.exchanges > 1
    assert not pair.is_over


def test_the_client_changes_keys_when_it_likes(edge: EdgeInMemory) -> None:
    pair = edge.join()
    for count in (2, 3, 4):
        pair.client.sendKexInit()
        pair.flush()
        assert pair.server.exchanges == count
    assert not pair.is_over


def test_who_asks_on_and_never_answers_our_offer_of_new_keys_is_disconnected(edge: EdgeInMemory) -> None:
    pair = edge.join()
    cast(Any, pair.client).ssh_KEXINIT = lambda packet: None
    pair.server.rekeySeconds = 5.0
    pair.advance(6.0)
    pair.client.sendIgnore(b"")
    pair.flush()
    # Each wants a reply, which may not be sent before there are new keys.
    pair.server.mostBlocked = 10
    for _ in range(11):
        pair.connection.sendGlobalRequest(b"keepalive@openssh.com", b"", wantReply=1).addErrback(lambda _: None)
    pair.flush()
    assert pair.is_over
