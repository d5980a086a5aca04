"""
The algorithms by name, with the keys that each needs (RFC 4253 7.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from pinggy.edge.ssh.packets.padding import Padding
from pinggy.edge.ssh.packets.suites import (
    EamOpener,
    EamSealer,
    EtmOpener,
    EtmSealer,
    GcmOpener,
    GcmSealer,
    Mac,
    Opener,
    Sealer,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CipherName:
    """*key* and *iv* are bytes; an *aead* cipher needs no MAC: whatever was agreed is not used (RFC 5647 5.1)."""

    key: int
    iv: int
    aead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MacName:
    """*digest* is a name of hashlib, *key* its bytes; *etm*: over the ciphertext."""

    digest: str
    key: int
    etm: bool = False


CIPHERS = {
    b"aes128-gcm@openssh.com": CipherName(key=16, iv=12, aead=True),
    b"aes256-gcm@openssh.com": CipherName(key=32, iv=12, aead=True),
    b"aes128-ctr": CipherName(key=16, iv=16),
    b"aes192-ctr": CipherName(key=24, iv=16),
    b"aes256-ctr": CipherName(key=32, iv=16),
}
MACS = {
    b"hmac-sha2-256-etm@openssh.com": MacName(digest="sha256", key=32, etm=True),
    b"hmac-sha2-512-etm@openssh.com": MacName(digest="sha512", key=64, etm=True),
    b"hmac-sha2-256": MacName(digest="sha256", key=32),
    b"hmac-sha2-512": MacName(digest="sha512", key=64),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Of one direction: at least as long as its algorithms need."""

    iv: bytes
    encryption: bytes
    integrity: bytes


def make_sealer(cipher: bytes, mac: bytes | None, keys: Keys, padding: Padding) -> Sealer:
    """Raises KeyError where there is no such algorithm."""
    named = CIPHERS[cipher]
    key, iv = keys.encryption[: named.key], keys.iv[: named.iv]
    if named.aead:
        return GcmSealer(key, iv, padding)
    assert mac is not None
    sealer = EtmSealer if MACS[mac].etm else EamSealer
    return sealer(key, iv, _mac(mac, keys), padding)


def make_opener(cipher: bytes, mac: bytes | None, keys: Keys) -> Opener:
    named = CIPHERS[cipher]
    key, iv = keys.encryption[: named.key], keys.iv[: named.iv]
    if named.aead:
        return GcmOpener(key, iv)
    assert mac is not None
    opener = EtmOpener if MACS[mac].etm else EamOpener
    return opener(key, iv, _mac(mac, keys))


def _mac(mac: bytes, keys: Keys) -> Mac:
    named = MACS[mac]
    return Mac(keys.integrity[: named.key], named.digest)
