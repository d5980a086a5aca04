"""
How one direction of a connection is sealed, and the other opened.

What seals and what opens a packet is told its sequence number (RFC 4253 6.4): MACs cover it. AES-GCM counts for itself.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pinggy.edge.ssh.packets.padding import LEAST, Padding, padding_length

BLOCK = 16  # of AES; the least of the others is 8
# Bytes of a packet. RFC 4253 6.1 asks for 35000; whoever sends much more in one is told what is wrong with it.
LONGEST = 1024 * 1024
_UINT32 = struct.Struct(">L")
_HEAD = struct.Struct(">LB")
_TAG = 16
_GCM_INVOCATIONS = 2**64

Buffer = bytes | bytearray | memoryview
Part = bytes | memoryview


class BadPacket(Exception):
    """It cannot be read: its length is out of bounds, or its padding."""


class BadTag(BadPacket):
    """Somebody has changed it, or it was never sealed by the peer."""


class Sealer(Protocol):
    block: int

    def seal(self, sequence: int, parts: Sequence[Part]) -> bytes:
        """The packet whose payload is *parts*, as it goes on the wire."""
        ...


class Opener(Protocol):
    """*least* bytes must be there before the length of a packet can be told."""

    least: int

    def size(self, buffer: bytes | bytearray, at: int, sequence: int) -> int:
        """How many bytes the packet that begins *at* has on the wire. Raises `BadPacket`. Asked once a packet."""
        ...

    def open(self, buffer: bytes | bytearray, at: int, size: int, sequence: int) -> memoryview:
        """Its payload, which stays as it is. Raises `BadPacket`."""
        ...


class NullSealer:
    """Before there are keys."""

    block = 8

    def __init__(self, padding: Padding) -> None:
        self._padding = padding

    def seal(self, sequence: int, parts: Sequence[Part]) -> bytes:
        return _plain(parts, 4, self.block, self._padding)


class NullOpener:
    least = 5

    def size(self, buffer: bytes | bytearray, at: int, sequence: int) -> int:
        return 4 + _checked(_UINT32.unpack_from(buffer, at)[0], 4, 8)

    def open(self, buffer: bytes | bytearray, at: int, size: int, sequence: int) -> memoryview:
        return _payload(bytes(buffer[at + 4 : at + size]))


class GcmSealer:
    """``aes128-gcm@openssh.com``, ``aes256-gcm@openssh.com``: the length is in the clear (RFC 5647 7.3)."""

    block = BLOCK

    def __init__(self, key: bytes, iv: bytes, padding: Padding) -> None:
        self._aead = AESGCM(key)
        self._nonces = _Nonces(iv)
        self._padding = padding

    def seal(self, sequence: int, parts: Sequence[Part]) -> bytes:
        counted = 1 + sum(map(len, parts))
        padded = padding_length(counted, BLOCK)
        length = counted + padded
        head = _UINT32.pack(length)
        plain = b"".join((_BYTES[padded], *parts, self._padding.take(padded)))
        return head + self._aead.encrypt(self._nonces.next(), plain, head)


class GcmOpener:
    least = 4

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._aead = AESGCM(key)
        self._nonces = _Nonces(iv)

    def size(self, buffer: bytes | bytearray, at: int, sequence: int) -> int:
        return 4 + _checked(_UINT32.unpack_from(buffer, at)[0], 0, BLOCK) + _TAG

    def open(self, buffer: bytes | bytearray, at: int, size: int, sequence: int) -> memoryview:
        with memoryview(buffer) as view:
            try:
                plain = self._aead.decrypt(self._nonces.next(), view[at + 4 : at + size], view[at : at + 4])
            except InvalidTag:
                raise BadTag("the tag does not fit") from None
        return _payload(plain)


class _Nonces:
    """A fixed part of 4 bytes and a counter of 8 that begins where the key exchange says (RFC 5647 7.1)."""

    __slots__ = ("_counter", "_fixed")

    def __init__(self, iv: bytes) -> None:
        self._fixed = iv[:4]
        self._counter = int.from_bytes(iv[4:12], "big")

    def next(self) -> bytes:
        nonce = self._fixed + self._counter.to_bytes(8, "big")
        self._counter = (self._counter + 1) % _GCM_INVOCATIONS
        return nonce


class EtmSealer:
    """AES-CTR, then a MAC over the ciphertext; the length in the clear (``...-etm@openssh.com``)."""

    block = BLOCK

    def __init__(self, key: bytes, iv: bytes, mac: Mac, padding: Padding) -> None:
        self._cipher = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
        self._mac = mac
        self._padding = padding

    def seal(self, sequence: int, parts: Sequence[Part]) -> bytes:
        packet = _plain(parts, 0, BLOCK, self._padding)
        sealed = packet[:4] + self._cipher.update(packet[4:])
        return sealed + self._mac.of(sequence, sealed)


class EtmOpener:
    least = 4

    def __init__(self, key: bytes, iv: bytes, mac: Mac) -> None:
        self._cipher = Cipher(algorithms.AES(key), modes.CTR(iv)).decryptor()
        self._mac = mac

    def size(self, buffer: bytes | bytearray, at: int, sequence: int) -> int:
        return 4 + _checked(_UINT32.unpack_from(buffer, at)[0], 0, BLOCK) + self._mac.size

    def open(self, buffer: bytes | bytearray, at: int, size: int, sequence: int) -> memoryview:
        end = at + size - self._mac.size
        sealed = bytes(buffer[at:end])
        self._mac.check(sequence, sealed, buffer[end : at + size])
        return _payload(self._cipher.update(sealed[4:]))


class EamSealer:
    """AES-CTR and a MAC over what was encrypted (RFC 4253 6.4): for who has no other."""

    block = BLOCK

    def __init__(self, key: bytes, iv: bytes, mac: Mac, padding: Padding) -> None:
        self._cipher = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
        self._mac = mac
        self._padding = padding

    def seal(self, sequence: int, parts: Sequence[Part]) -> bytes:
        packet = _plain(parts, 4, BLOCK, self._padding)
        return self._cipher.update(packet) + self._mac.of(sequence, packet)


class EamOpener:
    least = BLOCK

    def __init__(self, key: bytes, iv: bytes, mac: Mac) -> None:
        self._cipher = Cipher(algorithms.AES(key), modes.CTR(iv)).decryptor()
        self._mac = mac
        self._first = b""

    def size(self, buffer: bytes | bytearray, at: int, sequence: int) -> int:
        # The length is encrypted: its block is opened before the rest is there.
        self._first = self._cipher.update(bytes(buffer[at : at + BLOCK]))
        return 4 + _checked(_UINT32.unpack_from(self._first)[0], 4, BLOCK) + self._mac.size

    def open(self, buffer: bytes | bytearray, at: int, size: int, sequence: int) -> memoryview:
        end = at + size - self._mac.size
        packet = self._first + self._cipher.update(bytes(buffer[at + BLOCK : end]))
        self._mac.check(sequence, packet, buffer[end : at + size])
        return _payload(packet[4:])


class Mac:
    """HMAC with *digest* (a name of hashlib) over the sequence number and the packet."""

    def __init__(self, key: bytes, digest: str) -> None:
        self._keyed = hmac.new(key, digestmod=digest)
        self.size = self._keyed.digest_size

    def of(self, sequence: int, packet: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(_UINT32.pack(sequence))
        mac.update(packet)
        return mac.digest()

    def check(self, sequence: int, packet: bytes, said: Buffer) -> None:
        """Raises `BadTag` where *said* is not the MAC of *packet*."""
        if not hmac.compare_digest(self.of(sequence, packet), bytes(said)):
            raise BadTag("the MAC does not fit")


_BYTES = [bytes((value,)) for value in range(256)]


def _plain(parts: Sequence[Part], uncounted: int, block: int, padding: Padding) -> bytes:
    """The packet before it is encrypted; *uncounted* is 4 where the length fills blocks too, otherwise 0."""
    counted = 1 + sum(map(len, parts))
    padded = padding_length(counted + uncounted, block)
    return b"".join((_HEAD.pack(counted + padded, padded), *parts, padding.take(padded)))


def _checked(length: int, uncounted: int, block: int) -> int:
    """*length* as the packet says it. Raises `BadPacket`."""
    if length > LONGEST:
        raise BadPacket(f"a packet of {length} bytes")
    if (length + uncounted) % block or length < 1 + 1 + LEAST:
        raise BadPacket(f"a packet of {length} bytes, which does not fill blocks")
    return length


def _payload(padded: bytes) -> memoryview:
    """Of *padded*, which begins with the length of the padding. Raises `BadPacket`."""
    end = len(padded) - padded[0]
    if padded[0] < LEAST or end < 2:
        raise BadPacket(f"a padding of {padded[0]} bytes")
    return memoryview(padded)[1:end]
