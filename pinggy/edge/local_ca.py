"""
A certificate authority of this machine's own, and a certificate from it for the domain and every name under it.

It is for trying the service out and for private networks: whoever is given ``ca.pem`` can check what answers.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFE = timedelta(days=3652)
LEAF_LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
# Clocks differ: what is made now shall be good on a machine that is a little behind.
_BACKDATED = timedelta(hours=1)
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCertificate:
    """Where the files are: *ca* is for visitors to trust, *certificate* and *key* are for the server. All PEM."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class _Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


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
        ca = _new_authority(now)
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


def _new_authority(now: datetime) -> _Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Two authorities of one name would confuse a visitor who has both.
    name = _name(f"pinggy local CA {serial:040x}"[:32])
    builder = (
        _certificate(name, name, key.public_key(), serial, now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _Issued(builder.sign(key, hashes.SHA256()), key)


def _new_leaf(ca: _Issued, domain: str, now: datetime) -> _Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(domain), x509.DNSName(f"*.{domain}")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in _LOOPBACK]
    issuer = ca.certificate.subject
    builder = (
        # A common name has 64 characters at the most (RFC 5280 A.1); nobody reads it but people.
        _certificate(_name(domain[:64]), issuer, key.public_key(), x509.random_serial_number(), now, LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
    )
    return _Issued(builder.sign(ca.key, hashes.SHA256()), key)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _read(certificate: Path, key: Path) -> _Issued | None:
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
    return _Issued(issued, private)


def _public(key: object) -> bytes:
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _write(issued: _Issued, certificate: Path, key: Path) -> None:
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
