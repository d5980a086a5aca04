"""
What Conch's server transport lacks (RFC 4253): authenticated ciphers, MACs over the ciphertext, a strict key exchange,
the choice of the cipher by the server, keys that are changed in time.

Imports nothing of ours but the packets, so that it could be offered upstream.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import Any

from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import MSG_CHANNEL_DATA
from twisted.conch.ssh.transport import (
    DISCONNECT_KEY_EXCHANGE_FAILED,
    DISCONNECT_MAC_ERROR,
    DISCONNECT_PROTOCOL_ERROR,
    DISCONNECT_PROTOCOL_VERSION_NOT_SUPPORTED,
    MSG_DEBUG,
    MSG_DISCONNECT,
    MSG_IGNORE,
    MSG_KEXINIT,
    MSG_NEWKEYS,
    MSG_UNIMPLEMENTED,
    SSHServerTransport,
)
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pinggy.edge.ssh.packets.agreement import (
    EXT_INFO_CLIENT,
    EXT_INFO_SERVER,
    STRICT_CLIENT,
    STRICT_SERVER,
    Agreed,
    BadKexInit,
    NothingShared,
    Offer,
    agree,
    preferred,
    read_kexinit,
)
from pinggy.edge.ssh.packets.names import CIPHERS, MACS, Keys, make_opener, make_sealer
from pinggy.edge.ssh.packets.padding import Padding
from pinggy.edge.ssh.packets.reader import PacketReader
from pinggy.edge.ssh.packets.suites import BadPacket, BadTag, NullSealer, Opener, Sealer

KEXINIT_WAIT = 0.3  # seconds for the client's KEXINIT; some send theirs after ours
LONGEST_VERSION = 4096  # bytes before the end of the version line: RFC 4253 4.2 says 255, others may stand before it
_FIRST_KEX_METHOD, _LAST_KEX_METHOD = 30, 49
_AT_ANY_TIME = frozenset({MSG_IGNORE, MSG_UNIMPLEMENTED, MSG_DEBUG})
_OF_AN_EXCHANGE = ("ecPub", "dhGexRequest", "dhSecretKeyPublicMP", "g", "p")  # what Conch leaves behind
_BYTES = [bytes((value,)) for value in range(256)]


class SealedTransport(SSHServerTransport):
    """
    Set before it connects: *clock*. *supportedCiphers* and *supportedMACs* are in the order of our own preference. The
    same keys seal, and open, at most *rekeyBytes* and *rekeyPackets*, and serve *rekeySeconds* (RFC 4253 9). At most
    *mostBlocked* packets wait for new keys.

    Its service is given the message of a CHANNEL_DATA as a memoryview, all others as bytes.

    A subclass overrides `sendDisconnect`; it may look at *is_over*, after which nothing is read, and at *exchanges*:
    how often keys have been agreed on.
    """

    supportedCiphers = list(CIPHERS)
    supportedMACs = list(MACS)
    supportedCompressions = [b"none"]
    rekeyBytes = 4 * 1024**3
    rekeyPackets = 2**28
    rekeySeconds = 3600.0
    mostBlocked = 4096

    clock: IReactorTime
    is_over = False
    exchanges = 0
    # One for all connections: what is drawn at a time is more than all that an idle one has in memory.
    _padding = Padding()

    def connectionMade(self) -> None:
        self._sealer: Sealer = NullSealer(self._padding)
        self._reader = PacketReader()
        self._agreed: Agreed | None = None
        self._their_offer: Offer | None = None
        self._our_offer: Offer | None = None
        self._next: tuple[Sealer, Opener] | None = None
        self._strict = False
        self._keys_stood_at = self.clock.seconds()
        self._opened = self._sealed = self._opened_packets = self._sealed_packets = 0
        self._kexinit_bound: IDelayedCall | None = self.clock.callLater(KEXINIT_WAIT, self._kexinit_did_not_come)
        transport: Any = self.transport
        transport.write(self.ourVersionString + b"\r\n")

    def connectionLost(self, reason: Any = None) -> None:
        self._stop_waiting_for_kexinit()
        super().connectionLost(reason)

    # -- what comes -----------------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        if not self.gotVersion:
            rest = self._read_version(data)
            if rest is None:
                return
            data = rest
        reader = self._reader
        reader.feed(data)
        self._opened += len(data)
        try:
            while not self.is_over and (payload := reader.next()) is not None:
                self._opened_packets += 1
                number, message = payload[0], payload[1:]
                # Of channel data, which is most of what comes, only the owner needs a copy.
                self.dispatchMessage(number, message if number == MSG_CHANNEL_DATA else bytes(message))
        except BadTag:
            self.sendDisconnect(DISCONNECT_MAC_ERROR, b"A packet was changed on its way.")
        except BadPacket as error:
            self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, f"There came {error}.".encode())
        old = self.clock.seconds() - self._keys_stood_at > self.rekeySeconds
        if old or self._opened > self.rekeyBytes or self._opened_packets > self.rekeyPackets:
            self._change_keys()

    @property
    def incomingPacketSequence(self) -> int:
        return self._reader.sequence

    @incomingPacketSequence.setter
    def incomingPacketSequence(self, sequence: int) -> None:
        """Conch's class has it as a value that it counts."""

    @property
    def unread(self) -> int:
        """Bytes that have come and cannot be read yet."""
        return len(self.buf) + self._reader.waiting()

    def _read_version(self, data: bytes) -> bytes | None:
        """What follows the line of the client's version; None where that has not come yet."""
        self.buf += data
        start = 0 if self.buf.startswith(b"SSH-") else self.buf.find(b"\nSSH-") + 1
        end = self.buf.find(b"\n", start) if start or self.buf.startswith(b"SSH-") else -1
        if end < 0 or end > LONGEST_VERSION:
            if len(self.buf) > LONGEST_VERSION:
                self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, b"Your client does not say its version.")
            return None
        line, rest, self.buf = self.buf[start:end].rstrip(b"\r"), self.buf[end + 1 :], b""
        self.gotVersion = True
        self.otherVersionString = line
        if line.split(b"-")[1] not in self.supportedVersions:
            self.sendDisconnect(DISCONNECT_PROTOCOL_VERSION_NOT_SUPPORTED, b"This service speaks SSH 2.0.")
            return None
        return rest

    def dispatchMessage(self, messageNum: int, payload: bytes | memoryview) -> None:
        if not self._in_turn(messageNum):
            self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, b"Nothing else may be sent during a key exchange.")
            return
        super().dispatchMessage(messageNum, payload)

    def _in_turn(self, messageNum: int) -> bool:
        """Whether this message may come now (RFC 4253 7.1; in a strict first exchange nothing else at all)."""
        if messageNum == MSG_KEXINIT:
            return self._their_offer is None
        if messageNum == MSG_NEWKEYS:
            return self._next is not None
        if _FIRST_KEX_METHOD <= messageNum <= _LAST_KEX_METHOD:
            return self._their_offer is not None and self._next is None
        if not self.exchanges:
            return messageNum == MSG_DISCONNECT or (messageNum in _AT_ANY_TIME and not self._strict)
        return self._their_offer is None or self._allowedKeyExchangeMessageType(messageNum)

    # -- the key exchange -------------------------------------------------------------------------------------------

    def _offer(self) -> Offer:
        ciphers, macs = tuple(self.supportedCiphers), tuple(self.supportedMACs)
        return Offer(
            kex=(*self.supportedKeyExchanges, EXT_INFO_SERVER, STRICT_SERVER),
            host_key=tuple(self.supportedPublicKeys),
            cipher_c2s=ciphers,
            cipher_s2c=ciphers,
            mac_c2s=macs,
            mac_s2c=macs,
        )

    def sendKexInit(self) -> None:
        """What we offer; where the client's offer is known, so that it must choose what we want most."""
        self._stop_waiting_for_kexinit()
        offer = self._offer()
        if self._their_offer is not None:
            offer = preferred(offer, self._their_offer)
        self._our_offer = offer
        message = offer.encode(os.urandom(16))
        self.ourKexInitPayload = _BYTES[MSG_KEXINIT] + message
        self._keyExchangeState = self._KEY_EXCHANGE_REQUESTED
        self._blockedByKeyExchange = []
        self._seal((_BYTES[MSG_KEXINIT], message))

    def _kexinit_did_not_come(self) -> None:
        self._kexinit_bound = None
        if not self.is_over:
            self.sendKexInit()

    def _stop_waiting_for_kexinit(self) -> None:
        bound, self._kexinit_bound = self._kexinit_bound, None
        if bound is not None:
            bound.cancel()

    def _change_keys(self) -> None:
        """Begin a new key exchange, unless one is under way."""
        if self._keyExchangeState == self._KEY_EXCHANGE_NONE and self.exchanges and not self.is_over:
            self.sendKexInit()

    def ssh_KEXINIT(self, packet: bytes) -> None:
        try:
            offer, guessed = read_kexinit(packet)
        except BadKexInit as error:
            self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, f"Your client's KEXINIT cannot be read: {error}.".encode())
            return
        self._their_offer = offer
        self.otherKexInitPayload = _BYTES[MSG_KEXINIT] + packet
        if not self.exchanges:
            self._strict = STRICT_CLIENT in offer.kex
            self._peerSupportsExtensions = EXT_INFO_CLIENT in offer.kex
        if not self.exchanges and self._strict and self._reader.sequence != 1:
            self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, b"Something came before the KEXINIT.")
            return
        if self._keyExchangeState == self._KEY_EXCHANGE_NONE:
            self.sendKexInit()
        self._keyExchangeState = self._KEY_EXCHANGE_PROGRESSING
        ours = self._our_offer
        assert ours is not None
        try:
            self._agreed = agree(offer, ours)
        except NothingShared as error:
            self.sendDisconnect(DISCONNECT_KEY_EXCHANGE_FAILED, str(error).encode())
            return
        self.kexAlg, self.keyAlg = self._agreed.kex, self._agreed.host_key
        # RFC 4253 7.1: a guess is right where both prefer the same.
        if guessed and (offer.kex[:1], offer.host_key[:1]) != (ours.kex[:1], ours.host_key[:1]):
            self.ignoreNextPacket = 1

    def _keySetup(self, sharedSecret: bytes, exchangeHash: bytes) -> None:
        if self.sessionID is None:
            self.sessionID = exchangeHash
        agreed = self._agreed
        assert agreed is not None

        def keys(iv: bytes, encryption: bytes, integrity: bytes) -> Keys:
            iv, encryption, integrity = (
                self._getKey(c, sharedSecret, exchangeHash) for c in (iv, encryption, integrity)
            )
            return Keys(iv=iv, encryption=encryption, integrity=integrity)

        sealer = make_sealer(agreed.cipher_s2c, agreed.mac_s2c, keys(b"B", b"D", b"F"), self._padding)
        opener = make_opener(agreed.cipher_c2s, agreed.mac_c2s, keys(b"A", b"C", b"E"))
        self.sendPacket(MSG_NEWKEYS, b"")
        # From the next packet on, whoever sends first.
        self._sealer = sealer
        self._sealed = self._sealed_packets = 0
        if self._strict:
            self.outgoingPacketSequence = 0
        self._next = (sealer, opener)
        if not self.exchanges:
            self.sendExtInfo([(b"server-sig-algs", b",".join(self.supportedPublicKeys))])

    def ssh_NEWKEYS(self, packet: bytes) -> None:
        if packet:
            self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, b"NEWKEYS takes no data.")
            return
        self._newKeys()

    def _newKeys(self) -> None:
        assert self._next is not None
        self._reader.opener = self._next[1]
        if self._strict:
            self._reader.sequence = 0
        self._next = None
        self._forget_exchange()
        self.exchanges += 1
        self._opened = self._opened_packets = 0
        self._keys_stood_at = self.clock.seconds()
        self._keyExchangeState = self._KEY_EXCHANGE_NONE
        blocked, self._blockedByKeyExchange = self._blockedByKeyExchange, []
        for message in blocked:
            self.sendPacket(*message)

    def _forget_exchange(self) -> None:
        """What only the key exchange needed: many a connection does nothing for hours."""
        self._their_offer = self._our_offer = self._agreed = None
        self.ourKexInitPayload = self.otherKexInitPayload = b""
        for name in _OF_AN_EXCHANGE:
            self.__dict__.pop(name, None)

    # -- what goes --------------------------------------------------------------------------------------------------

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        self.sendParts(messageType, (payload,))

    def sendParts(self, messageType: int, parts: Sequence[bytes | memoryview]) -> None:
        """As `sendPacket`, for a payload in *parts*, which is joined once, when it is sealed."""
        if self._keyExchangeState != self._KEY_EXCHANGE_NONE and not self._allowedKeyExchangeMessageType(messageType):
            self._blockedByKeyExchange.append((messageType, b"".join(parts)))
            if len(self._blockedByKeyExchange) > self.mostBlocked and not self.is_over:
                # It asks, and never answers our offer: what it is told would wait for ever.
                self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, b"Your client does not finish the key exchange.")
            return
        self._seal((_BYTES[messageType], *parts))
        if self._sealed > self.rekeyBytes or self._sealed_packets > self.rekeyPackets:
            self._change_keys()

    def _seal(self, parts: Sequence[bytes | memoryview]) -> None:
        packet = self._sealer.seal(self.outgoingPacketSequence, parts)
        self.outgoingPacketSequence = (self.outgoingPacketSequence + 1) & 0xFFFFFFFF
        transport: Any = self.transport
        transport.write(packet)
        self._sealed += len(packet)
        self._sealed_packets += 1

    def sendUnimplemented(self) -> None:
        # Of the packet that was read last.
        sequence = (self._reader.sequence - 1) & 0xFFFFFFFF
        self.sendPacket(MSG_UNIMPLEMENTED, struct.pack(">L", sequence))

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        self.is_over = True
        self.sendPacket(MSG_DISCONNECT, struct.pack(">L", reason) + NS(desc) + NS(b""))
        transport: Any = self.transport
        transport.loseConnection()

    def isEncrypted(self, direction: str = "out") -> bool:
        return self.exchanges > 0

    def isVerified(self, direction: str = "out") -> bool:
        return self.exchanges > 0
