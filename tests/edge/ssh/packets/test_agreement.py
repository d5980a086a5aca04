"""What is agreed of two offers: the client's order decides, unless only one is left to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.edge.ssh.packets.agreement import (
    STRICT_CLIENT,
    BadKexInit,
    NothingShared,
    Offer,
    agree,
    preferred,
    read_kexinit,
)
from pinggy.edge.ssh.packets.names import CIPHERS, MACS

GCM, CTR = b"aes128-gcm@openssh.com", b"aes128-ctr"
ETM, EAM = b"hmac-sha2-256-etm@openssh.com", b"hmac-sha2-256"
OURS = Offer(
    kex=(b"curve25519-sha256",),
    host_key=(b"ssh-ed25519",),
    cipher_c2s=tuple(CIPHERS),
    cipher_s2c=tuple(CIPHERS),
    mac_c2s=tuple(MACS),
    mac_s2c=tuple(MACS),
)
# As OpenSSH orders them.
THEIRS = replace(
    OURS,
    kex=(b"sntrup761x25519-sha512@openssh.com", b"curve25519-sha256", STRICT_CLIENT),
    cipher_c2s=(b"chacha20-poly1305@openssh.com", CTR, b"aes256-ctr", GCM),
    cipher_s2c=(b"chacha20-poly1305@openssh.com", CTR, b"aes256-ctr", GCM),
    compression_c2s=(b"none", b"zlib@openssh.com"),
)
_names = st.lists(st.binary(min_size=1, max_size=12).filter(lambda name: b"," not in name), max_size=5).map(tuple)
_offers = st.builds(
    Offer,
    **dict.fromkeys(
        ("kex", "host_key", "cipher_c2s", "cipher_s2c", "mac_c2s", "mac_s2c", "compression_c2s", "language_c2s"), _names
    ),
)


@given(_offers, st.binary(min_size=16, max_size=16))
def test_an_offer_comes_back_as_it_went(offer: Offer, cookie: bytes) -> None:
    assert read_kexinit(offer.encode(cookie)) == (offer, False)


@given(st.binary(max_size=300))
def test_garbage_is_no_offer_or_one(garbage: bytes) -> None:
    try:
        read_kexinit(garbage)
    except BadKexInit:
        return


@given(st.data())
def test_an_offer_that_is_cut_short_is_none(data: st.DataObject) -> None:
    whole = THEIRS.encode(bytes(16))
    with pytest.raises(BadKexInit):
        read_kexinit(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_a_stock_client_gets_the_cipher_that_we_want() -> None:
    assert agree(THEIRS, OURS).cipher_c2s == CTR
    agreed = agree(THEIRS, preferred(OURS, THEIRS))
    assert (agreed.cipher_c2s, agreed.cipher_s2c) == (GCM, GCM)
    assert (agreed.mac_c2s, agreed.mac_s2c) == (None, None)


def test_a_client_that_wants_another_cipher_gets_it_with_the_best_mac() -> None:
    theirs = replace(THEIRS, cipher_c2s=(CTR,), cipher_s2c=(CTR,), mac_c2s=(EAM, ETM), mac_s2c=(EAM,))
    agreed = agree(theirs, preferred(OURS, theirs))
    assert (agreed.cipher_c2s, agreed.mac_c2s) == (CTR, ETM)
    assert (agreed.cipher_s2c, agreed.mac_s2c) == (CTR, EAM)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"cipher_c2s": (b"aes128-cbc",)}, "cipher"),
        ({"kex": (b"diffie-hellman-group1-sha1", STRICT_CLIENT)}, "key exchange"),
        ({"host_key": (b"ssh-dss",)}, "host key algorithm"),
        ({"cipher_s2c": (CTR,), "mac_s2c": (b"hmac-md5",)}, "MAC"),
        ({"compression_c2s": (b"zlib",)}, "compression"),
    ],
)
def test_who_shares_nothing_reads_what_is_missing(changes: dict[str, tuple[bytes, ...]], what: str) -> None:
    theirs = replace(THEIRS, **changes)
    with pytest.raises(NothingShared, match=f"Your client offers no {what} that this service has: it has "):
        agree(theirs, preferred(OURS, theirs))


def test_the_marks_of_extensions_are_never_agreed_on() -> None:
    theirs = replace(THEIRS, kex=(STRICT_CLIENT,))
    with pytest.raises(NothingShared):
        agree(theirs, replace(OURS, kex=(*OURS.kex, STRICT_CLIENT)))
