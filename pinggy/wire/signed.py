"""
Bytes that the core has signed, as text: base64url of them, a dot, base64url of their Ed25519 signature (RFC 8032).

A *context* stands before what is signed, so that a signature of one kind is of no use for another.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class BadSignature(Exception):
    """The text is not of this form, or not signed by this key in this context."""


def sign(context: bytes, body: bytes, key: Ed25519PrivateKey) -> str:
    return f"{_encode(body)}.{_encode(key.sign(context + body))}"


def verify(context: bytes, text: str, key: Ed25519PublicKey) -> bytes:
    """What was signed. Raises `BadSignature`."""
    body, _, signature = text.partition(".")
    try:
        said = _decode(body)
        key.verify(_decode(signature), context + said)
    except (binascii.Error, ValueError, InvalidSignature):
        raise BadSignature from None
    return said


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
