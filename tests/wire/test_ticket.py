from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pinggy.settings import Secret
from pinggy.tunnel.grant import Forwarding, Identity
from pinggy.tunnel.request import Kind
from pinggy.wire import proof
from pinggy.wire.messages import ByKey, ByToken, Credential, Nobody
from pinggy.wire.ticket import LONGEST_TICKET, BadTicket, Ticket, digest_of, sign, verify

KEY = Ed25519PrivateKey.generate()
BLOG = Forwarding(number=1, kind=Kind.HTTP, name="blog", epoch=7)
PORT = Forwarding(number=2, kind=Kind.TCP, name="p20001", epoch=8, port=20001)
TICKET = Ticket(
    tunnel="0" * 32,
    identity=Identity(account="ann", label="pgy1abc"),
    credential=digest_of(ByToken(token=Secret("a token"))),
    forwardings=(BLOG, PORT),
    not_after=1_800_000_000,
)

forwardings = st.builds(
    Forwarding,
    number=st.integers(1, 2**31 - 1),
    kind=st.sampled_from(Kind),
    name=st.text(max_size=63),
    epoch=st.integers(0, 2**63 - 1),
    port=st.none() | st.integers(1, 65535),
)
tickets = st.builds(
    Ticket,
    tunnel=st.text(max_size=32),
    identity=st.builds(Identity, account=st.none() | st.text(), label=st.text()),
    credential=st.text(max_size=64),
    forwardings=st.lists(forwardings, max_size=5).map(tuple),
    not_after=st.integers(),
)


@given(tickets)
def test_a_ticket_is_read_back(ticket: Ticket) -> None:
    assert verify(sign(ticket, KEY), KEY.public_key()) == ticket


def test_another_key_proves_nothing() -> None:
    with pytest.raises(BadTicket):
        verify(sign(TICKET, Ed25519PrivateKey.generate()), KEY.public_key())


def test_a_grant_of_the_zone_is_no_ticket_nor_the_other_way_round() -> None:
    claim = proof.sign(proof.Claim(name="blog.a.example", epoch=7), KEY)
    with pytest.raises(BadTicket):
        verify(claim, KEY.public_key())
    with pytest.raises(proof.BadProof):
        proof.verify(sign(TICKET, KEY)[: proof.LONGEST_PROOF], KEY.public_key())


@given(st.text(max_size=300))
def test_any_text_is_no_ticket(text: str) -> None:
    with pytest.raises(BadTicket):
        verify(text, KEY.public_key())


@given(st.data())
def test_a_changed_letter_makes_no_other_ticket(data: st.DataObject) -> None:
    text = sign(TICKET, KEY)
    at = data.draw(st.integers(min_value=0, max_value=len(text) - 1))
    letter = data.draw(st.sampled_from("ABCDwxyz0189-_."))
    with suppress(BadTicket):
        # The last bits of base64 may say the same in two ways.
        assert verify(text[:at] + letter + text[at + 1 :], KEY.public_key()) == TICKET


@given(st.binary(max_size=200) | st.sampled_from([b"{}", b"[]", b"null", b'{"tunnel": 1}']))
def test_what_is_signed_but_no_ticket_is_none(body: bytes) -> None:
    def text(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    signature = KEY.sign(b"pinggy tunnel ticket 1\0" + body)
    with pytest.raises(BadTicket):
        verify(f"{text(body)}.{text(signature)}", KEY.public_key())


def test_an_endless_ticket_is_not_even_decoded() -> None:
    with pytest.raises(BadTicket, match="too long"):
        verify("x" * (LONGEST_TICKET + 1), KEY.public_key())


def test_a_ticket_covers_what_was_granted_and_nothing_else() -> None:
    assert TICKET.covers([PORT])
    assert TICKET.covers([])
    assert not TICKET.covers([Forwarding(number=1, kind=Kind.HTTP, name="blog", epoch=9)])
    assert not TICKET.covers([BLOG, Forwarding(number=3, kind=Kind.HTTP, name="shop", epoch=7)])


def test_each_credential_has_a_digest_of_its_own() -> None:
    by: list[Credential] = [ByToken(token=Secret("x")), ByToken(token=Secret("y")), ByKey(fingerprint="x")]
    assert len({digest_of(each) for each in by}) == 3
    assert {len(digest_of(each)) for each in by} == {64}
    with pytest.raises(ValueError, match="no credential"):
        digest_of(Nobody())
