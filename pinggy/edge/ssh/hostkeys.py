"""
The host keys: one service, one set of keys, the same at every edge.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.conch.ssh.keys import BadKeyError, EncryptedKeyError, Key

from pinggy.settings import SettingsError

_RSA_BITS = 3072


def load_host_keys(files: Sequence[Path]) -> tuple[Key, ...]:
    """Read private keys in any form that OpenSSH writes. Raises `SettingsError`."""
    return tuple(_load(file) for file in files)


def ensure_host_keys(folder: Path) -> tuple[Path, ...]:
    """
    The files of an Ed25519 and an RSA host key in *folder*, made if they are not there (mode 0600).

    RSA is for clients that know nothing newer.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted: dict[Path, Callable[[], ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey]] = {
        folder / "ssh_host_ed25519_key": ed25519.Ed25519PrivateKey.generate,
        folder / "ssh_host_rsa_key": _rsa,
    }
    for file, generate in wanted.items():
        if not file.exists():
            _write(file, generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return tuple(wanted)


def fingerprint(key: Key) -> str:
    """As ``ssh-keygen -l`` prints it: ``SHA256:`` and base64 without padding."""
    digest = hashlib.sha256(key.blob()).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


def known_hosts_lines(keys: Sequence[Key], host: str, port: int) -> str:
    """The lines of a ``known_hosts`` file for *keys* at *host* and *port*."""
    where = host if port == 22 else f"[{host}]:{port}"
    return "".join(f"{where} {key.public().toString('OPENSSH').decode('ascii')}\n" for key in keys)


def _load(file: Path) -> Key:
    try:
        key: Key = Key.fromFile(str(file))
    except OSError as error:
        raise SettingsError(f"The setting host_keys names {file}, which cannot be read: {error.strerror}.") from error
    except (BadKeyError, EncryptedKeyError, ValueError) as error:
        raise SettingsError(
            f"The setting host_keys names {file}, which is no private key (or has a passphrase)."
        ) from error
    return key


def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, _RSA_BITS)


def _write(file: Path, content: bytes) -> None:
    draft = file.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
    draft.replace(file)
