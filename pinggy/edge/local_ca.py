"""
A certificate authority of this machine's own, and a certificate from it for the domain and every name under it.

It is for trying the service out and for private networks: whoever is given ``ca.pem`` can check what answers.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from pinggy.issuing import Issued, new_authority, sign_leaf

CA_LIFE = timedelta(days=3652)
LEAF_LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCertificate:
    """Where the files are: *ca* is for visitors to trust, *certificate* and *key* are for the server. All PEM."""

    ca: Path
    certificate: Path
    key: Path


def ensure_local_certificate(folder: Path, domain: str, now: datetime) -> LocalCertificate:
    """
    The certificate of *domain*, ``*.domain`` and loopback in *folder*; made if it is not there, is for another domain
    or has less than 30 days to live. The authority stays for its ten years. *now* knows its time zone.

    Raises `OSError` where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = LocalCertificate(ca=folder / "ca.pem", certificate=folder / "cert.pem", key=folder / "key.pem")
    ca_key = folder / "ca-key.pem"
    ca = _read(paths.ca, ca_key)
    if ca is None or not _lives_on(ca.certificate, now + LEAF_LIFE):
        ca = new_authority(f"pinggy local CA {secrets.token_hex(8)}", now, CA_LIFE)
        _write(ca, paths.ca, ca_key)
    leaf = _read(paths.certificate, paths.key)
    if leaf is None or not _serves(leaf.certificate, ca.certificate, domain, now):
        _write(_new_leaf(ca, domain, now), paths.certificate, paths.key)
    return paths


def _lives_on(certificate: x509.Certificate, until: datetime) -> bool:
    return until < certificate.not_valid_after_utc


def _serves(leaf: x509.Certificate, ca: x509.Certificate, domain: str, now: datetime) -> bool:
    try:
        leaf.verify_directly_issued_by(ca)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    is_for_domain = names.get_values_for_type(x509.DNSName) == [domain, f"*.{domain}"]
    return is_for_domain and leaf.not_valid_before_utc <= now and _lives_on(leaf, now + RENEW_BEFORE)


def _new_leaf(ca: Issued, domain: str, now: datetime) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(domain), x509.DNSName(f"*.{domain}")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in _LOOPBACK]
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH]
    return Issued(sign_leaf(ca, domain, key.public_key(), names, purposes, now, LEAF_LIFE, signs_only=True), key)


def _read(certificate: Path, key: Path) -> Issued | None:
    """What an earlier start has left; None where a file is missing, damaged or not the other's."""
    try:
        issued = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or _public(private.public_key()) != _public(
        issued.public_key()
    ):
        return None
    return Issued(issued, private)


def _public(key: object) -> bytes:
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _write(issued: Issued, certificate: Path, key: Path) -> None:
    private = issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _replace(key, private, 0o600)
    _replace(certificate, issued.certificate.public_bytes(Encoding.PEM), 0o644)


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Whoever reads *path* finds the old content or the new one, and never a key that others may read."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
