"""
The key that signs grants: an Ed25519 private key in a file that all cores share.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pinggy.settings import SettingsError

_SETTING = "The setting core.grant_key"


def ensure_grant_key(path: Path) -> Ed25519PrivateKey:
    """
    The key in the file *path* (PEM, PKCS8, mode 0600), made if there is none. Raises `SettingsError`.

    Of two cores that make it at once, one does: the other takes what is there.
    """
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{_SETTING} names {path}, which others may read: chmod 600 {path}")
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{_SETTING} names {path}, which is of no use: {error.strerror}.") from error
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(f"{_SETTING} names {path}, which is no private key in PEM without a password.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{_SETTING} names {path}, which is not an Ed25519 key.")
    return key


def _make(path: Path) -> None:
    """Whole or not at all, and never over one that is there."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
