"""
The key that signs grants: an Ed25519 private key in a file that all cores share.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pinggy.core.key_file import ensure_key_file
from pinggy.settings import SettingsError

_SETTING = "The setting core.grant_key"


def ensure_grant_key(path: Path) -> Ed25519PrivateKey:
    """The key in the file *path* (PEM, PKCS8), made if there is none. Raises `SettingsError`."""
    data = ensure_key_file(_SETTING, path, _make)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(f"{_SETTING} names {path}, which is no private key in PEM without a password.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{_SETTING} names {path}, which is not an Ed25519 key.")
    return key


def _make() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
