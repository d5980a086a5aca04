from __future__ import annotations

from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pinggy.wire.proof import BadProof, Claim, sign, verify

KEY = Ed25519PrivateKey.generate()
CLAIM = Claim(name="blog.a.example", epoch=7, target="eu.a.example")


@pytest.mark.parametrize(
    "claim",
    [
        CLAIM,
        Claim(name="eu.a.example", epoch=1, addresses=("192.0.2.1", "2001:db8::1")),
        Claim(name="gone.a.example", epoch=2**60),
        Claim(name="a.example", epoch=1, addresses=("192.0.2.1", "2001:db8::1"), port=443),
        Claim(name="a.example", epoch=1, port=443),
    ],
)
def test_a_claim_is_read_back(claim: Claim) -> None:
    assert verify(sign(claim, KEY), KEY.public_key()) == claim


def test_another_key_proves_nothing() -> None:
    with pytest.raises(BadProof):
        verify(sign(CLAIM, Ed25519PrivateKey.generate()), KEY.public_key())


def test_another_claim_under_the_same_signature_proves_nothing() -> None:
    signature = sign(CLAIM, KEY).partition(".")[2]
    other = sign(Claim(name="blog.a.example", epoch=8, target="us.a.example"), KEY).partition(".")[0]
    with pytest.raises(BadProof):
        verify(f"{other}.{signature}", KEY.public_key())


@given(st.text(max_size=300))
def test_any_text_is_no_proof(text: str) -> None:
    with pytest.raises(BadProof):
        verify(text, KEY.public_key())


@given(st.data())
def test_a_changed_letter_proves_nothing_else(data: st.DataObject) -> None:
    proof = sign(CLAIM, KEY)
    at = data.draw(st.integers(min_value=0, max_value=len(proof) - 1))
    letter = data.draw(st.sampled_from("ABCDwxyz0189-_."))
    with suppress(BadProof):
        # The last bits of base64 may say the same in two ways.
        assert verify(proof[:at] + letter + proof[at + 1 :], KEY.public_key()) == CLAIM
