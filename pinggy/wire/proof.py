"""
The core's signed grant of one name in the zone: what an edge shows to a zone gate.

A proof is text: a JSON array, signed as `signed` says. It says which name may point where, by which epoch; whoever
shows it may write just that record, or take it away.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pinggy.wire import signed

# The addresses of some 250 edges in one entry.
LONGEST_PROOF = 16 * 1024
_CONTEXT = b"pinggy zone grant 1\0"


class BadProof(Exception):
    """The proof is not one, or not signed by the core's key; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """
    *name* is absolute in lower case without the final dot. It is a CNAME to *target*, or has the *addresses* (IPv4 and
    IPv6 in text), or, with neither, may only be taken away. With a *port* it is an entry: it leads to the nearest of
    the *addresses* whose *port* takes connections.
    """

    name: str
    epoch: int
    target: str = ""
    addresses: tuple[str, ...] = ()
    port: int = 0


def sign(claim: Claim, key: Ed25519PrivateKey) -> str:
    said = [claim.name, claim.epoch, claim.target, list(claim.addresses), *([claim.port] if claim.port else [])]
    body = json.dumps(said, separators=(",", ":")).encode("utf-8")
    return signed.sign(_CONTEXT, body, key)


def verify(proof: str, key: Ed25519PublicKey) -> Claim:
    """The claim that *proof* makes. Raises `BadProof`."""
    if len(proof) > LONGEST_PROOF:
        raise BadProof("The proof is too long.")
    try:
        said = signed.verify(_CONTEXT, proof, key)
    except signed.BadSignature:
        raise BadProof("The proof is not signed by the core's key.") from None
    return _claim(json.loads(said))


def _claim(said: list[object]) -> Claim:
    # Signed by our own core: what it signs is well formed.
    name, epoch, target, addresses, *entry = said
    port = entry[0] if entry else 0
    assert isinstance(name, str)
    assert isinstance(epoch, int)
    assert isinstance(target, str)
    assert isinstance(addresses, list)
    assert isinstance(port, int)
    return Claim(name=name, epoch=epoch, target=target, addresses=tuple(addresses), port=port)
