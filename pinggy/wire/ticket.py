"""
The core's signed word for a tunnel: by it a client is let in again, and its tunnel resumed, while the core is away.

A ticket is text: a JSON object, signed as `signed` says. It says whose tunnel it is, by which credential, and which
names it has, until when. Who holds it must show the credential as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pinggy.tunnel.grant import Forwarding, Identity
from pinggy.tunnel.refusals import MalformedMessage
from pinggy.wire import codec, signed
from pinggy.wire.messages import ByToken, Credential, Nobody

LONGEST_TICKET = 128 * 1024
_CONTEXT = b"pinggy tunnel ticket 1\0"


class BadTicket(Exception):
    """The ticket is not one, or not signed by the core's key; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """*credential* is `digest_of` it; *not_after* is the last second, in Unix time, that the ticket is good for."""

    tunnel: str
    identity: Identity
    credential: str
    forwardings: tuple[Forwarding, ...]
    not_after: int

    def covers(self, forwardings: Sequence[Forwarding]) -> bool:
        """Whether each of them is what the core granted."""
        return set(forwardings) <= set(self.forwardings)


def digest_of(credential: Credential) -> str:
    """SHA-256 in hexadecimal, to be compared in constant time. A token of ours is random and long."""
    if isinstance(credential, Nobody):
        raise ValueError("Nobody has no credential.")
    if isinstance(credential, ByToken):
        kind, text = b"token", credential.token.reveal()
    else:
        kind, text = b"key", credential.fingerprint
    return hashlib.sha256(kind + b"\0" + text.encode("utf-8", "surrogatepass")).hexdigest()


def sign(ticket: Ticket, key: Ed25519PrivateKey) -> str:
    body = codec.encode(ticket)
    return signed.sign(_CONTEXT, body, key)


def verify(text: str, key: Ed25519PublicKey) -> Ticket:
    """The ticket that *text* is; whether it is over has to be asked of it. Raises `BadTicket`."""
    if len(text) > LONGEST_TICKET:
        raise BadTicket("The ticket is too long.")
    try:
        said = signed.verify(_CONTEXT, text, key)
    except signed.BadSignature:
        raise BadTicket("The ticket is not signed by the core's key.") from None
    try:
        return codec.decode(Ticket, said)
    except MalformedMessage as error:
        raise BadTicket(f"The ticket is of another core's form: {error}") from None
