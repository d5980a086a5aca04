"""
The file of the key that signs grants: made once, read by its owner alone, and said in one line where it is of no use.
"""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pinggy.core.grant_key import ensure_grant_key
from pinggy.settings import SettingsError


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "grant.key"
    made = ensure_grant_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert ensure_grant_key(path).private_bytes_raw() == made.private_bytes_raw()
    assert list(tmp_path.iterdir()) == [path]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_named(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SettingsError, match=r"core\.grant_key names .*grant\.key, which is no private key in PEM"):
        ensure_grant_key(write(tmp_path / "grant.key", data))


def test_a_key_of_another_kind_is_named(tmp_path: Path) -> None:
    rsa = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(SettingsError, match=r"core\.grant_key names .*not an Ed25519 key"):
        ensure_grant_key(write(tmp_path / "grant.key", rsa))


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "grant.key"
    ensure_grant_key(path)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match=r"core\.grant_key names .*others may read: chmod 600"):
        ensure_grant_key(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"core\.grant_key names .*nowhere.*No such file"):
        ensure_grant_key(tmp_path / "nowhere" / "grant.key")


def test_a_key_that_came_in_between_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "grant.key"
    theirs = Ed25519PrivateKey.generate()
    generate = Ed25519PrivateKey.generate

    def slow() -> Ed25519PrivateKey:
        write(path, theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return generate()

    monkeypatch.setattr("cryptography.hazmat.primitives.asymmetric.ed25519.Ed25519PrivateKey.generate", slow)
    assert ensure_grant_key(path).private_bytes_raw() == theirs.private_bytes_raw()
