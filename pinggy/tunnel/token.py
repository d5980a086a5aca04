"""
The shape of a token: ``pgy-`` + 7 public letters + 28 secret letters + 6 of checksum, all base 62.

The public letters may be shown and stored (ssh-interface: ``(xxYYzzZ)``). The secret ones carry 166 random bits.
The checksum (CRC-32) tells a mistyped token from an unknown one without asking anybody; it protects nothing.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from dataclasses import dataclass

from pinggy.settings import Secret
from pinggy.tunnel.refusals import TokenMistyped

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_START = "pgy-"
_PREFIX = 7
_SECRET = 28
_CHECKSUM = 6


@dataclass(frozen=True, slots=True)
class Token:
    """A token whose shape is right; whether the core knows it is another question."""

    prefix: str
    secret: Secret

    @property
    def digest(self) -> bytes:
        """SHA-256 of the whole token, 32 bytes: the only thing that is ever stored of its secret part."""
        return hashlib.sha256(self.secret.reveal().encode("ascii")).digest()


def new_token() -> Token:
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_PREFIX + _SECRET))
    return Token(prefix=body[:_PREFIX], secret=Secret(_START + body + _checksum(body)))


def parse_token(text: str) -> Token | None:
    """
    The token that *text* is, or None where it does not even begin as one (somebody's login name).

    Raises `TokenMistyped` where it begins as a token and is none.
    """
    if not text.startswith(_START):
        return None
    body, checksum = text[len(_START) : -_CHECKSUM], text[-_CHECKSUM:]
    if len(body) != _PREFIX + _SECRET or not set(body) <= set(_ALPHABET) or _checksum(body) != checksum:
        raise TokenMistyped.of()
    return Token(prefix=body[:_PREFIX], secret=Secret(text))


def _checksum(body: str) -> str:
    rest = zlib.crc32(body.encode("ascii"))
    letters = []
    for _ in range(_CHECKSUM):
        rest, digit = divmod(rest, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return "".join(reversed(letters))
