"""
What both sides offer in their KEXINIT, and what follows from it (RFC 4253 7.1).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields

from pinggy.edge.ssh.packets.names import CIPHERS

EXT_INFO_CLIENT = b"ext-info-c"  # RFC 8308 2.1
EXT_INFO_SERVER = b"ext-info-s"
STRICT_CLIENT = b"kex-strict-c-v00@openssh.com"
STRICT_SERVER = b"kex-strict-s-v00@openssh.com"
_MARKS = frozenset({EXT_INFO_CLIENT, EXT_INFO_SERVER, STRICT_CLIENT, STRICT_SERVER})
_COOKIE = 16
_LISTS = 10
_MOST_NAMES = 1000

Names = tuple[bytes, ...]


class BadKexInit(Exception):
    """It cannot be read."""


class NothingShared(Exception):
    """The sides have no *what* in common; the text is for the user."""

    def __init__(self, what: str, theirs: Sequence[bytes], ours: Sequence[bytes]) -> None:
        said = ", ".join(each.decode("ascii", "replace") for each in ours if each not in _MARKS)
        super().__init__(f"Your client offers no {what} that this service has: it has {said}.")
        self.theirs = theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The lists of a KEXINIT, each the most wanted first; *c2s* is from the client to the server."""

    kex: Names
    host_key: Names
    cipher_c2s: Names
    cipher_s2c: Names
    mac_c2s: Names
    mac_s2c: Names
    compression_c2s: Names = (b"none",)
    compression_s2c: Names = (b"none",)
    language_c2s: Names = ()
    language_s2c: Names = ()

    def encode(self, cookie: bytes) -> bytes:
        """The message behind its number; *cookie* is 16 random bytes."""
        lists = (getattr(self, field.name) for field in fields(self))
        return cookie + b"".join(map(_name_list, lists)) + b"\0\0\0\0\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """A MAC is None where its cipher authenticates by itself."""

    kex: bytes
    host_key: bytes
    cipher_c2s: bytes
    cipher_s2c: bytes
    mac_c2s: bytes | None
    mac_s2c: bytes | None


def read_kexinit(message: bytes) -> tuple[Offer, bool]:
    """The offer, and whether a guessed packet of the key exchange follows. Raises `BadKexInit`."""
    lists: list[Names] = []
    at = _COOKIE
    for _ in range(_LISTS):
        if len(message) < at + 4:
            raise BadKexInit("it is cut short")
        (length,) = struct.unpack_from(">L", message, at)
        at += 4 + length
        if len(message) < at:
            raise BadKexInit("it is cut short")
        names = tuple(message[at - length : at].split(b",")) if length else ()
        if len(names) > _MOST_NAMES:
            raise BadKexInit("it has too many names")
        lists.append(names)
    if len(message) < at + 5:
        raise BadKexInit("it is cut short")
    return Offer(**dict(zip((field.name for field in fields(Offer)), lists, strict=True))), message[at] != 0


def preferred(ours: Offer, theirs: Offer) -> Offer:
    """
    *ours* cut down so that of ciphers and MACs the one that we want most is chosen, where the client would take it at
    all: the client's order decides (RFC 4253 7.1), so only one is left to it.
    """
    return Offer(
        kex=ours.kex,
        host_key=ours.host_key,
        cipher_c2s=_wanted(ours.cipher_c2s, theirs.cipher_c2s),
        cipher_s2c=_wanted(ours.cipher_s2c, theirs.cipher_s2c),
        mac_c2s=_wanted(ours.mac_c2s, theirs.mac_c2s),
        mac_s2c=_wanted(ours.mac_s2c, theirs.mac_s2c),
    )


def agree(client: Offer, server: Offer) -> Agreed:
    """Raises `NothingShared`."""
    cipher_c2s = _first("cipher", client.cipher_c2s, server.cipher_c2s)
    cipher_s2c = _first("cipher", client.cipher_s2c, server.cipher_s2c)
    _first("compression", client.compression_c2s, server.compression_c2s)
    _first("compression", client.compression_s2c, server.compression_s2c)
    return Agreed(
        kex=_first("key exchange", tuple(each for each in client.kex if each not in _MARKS), server.kex),
        host_key=_first("host key algorithm", client.host_key, server.host_key),
        cipher_c2s=cipher_c2s,
        cipher_s2c=cipher_s2c,
        mac_c2s=_mac(cipher_c2s, client.mac_c2s, server.mac_c2s),
        mac_s2c=_mac(cipher_s2c, client.mac_s2c, server.mac_s2c),
    )


def _mac(cipher: bytes, client: Names, server: Names) -> bytes | None:
    return None if CIPHERS[cipher].aead else _first("MAC", client, server)


def _first(what: str, client: Names, server: Names) -> bytes:
    for each in client:
        if each in server:
            return each
    raise NothingShared(what, client, server)


def _wanted(ours: Names, theirs: Names) -> Names:
    for each in ours:
        if each in theirs:
            return (each,)
    return ours


def _name_list(names: Names) -> bytes:
    joined = b",".join(names)
    return struct.pack(">L", len(joined)) + joined
