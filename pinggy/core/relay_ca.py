"""
The authority that signs the certificates by which edges know each other: a key and its own certificate, in a file that
all cores share.

An edge keeps its key to itself and sends a request; of that, the public key counts. Whose certificate it becomes is
what the core knows of who asks.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pinggy.core.key_file import ensure_key_file
from pinggy.settings import SettingsError
from pinggy.tunnel.refusals import MalformedMessage, NotFound
from pinggy.wire.places import EDGE_URI, Certified, Certify

_SETTING = "The setting core.relay_ca"
_AUTHORITY_LIFE = timedelta(days=3652)
_LIFE = timedelta(hours=24)
_RENEW = timedelta(hours=8)
# Clocks differ: what is signed now shall be good on a machine that is a little behind.
_BACKDATED = timedelta(hours=1)
_LONGEST_REQUEST = 8 * 1024


@dataclass(frozen=True, slots=True)
class RelayAuthority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certify(self, edge: str, message: Certify, now: datetime) -> Certified:
        """The certificate of *edge* for 24 hours from *now*. Raises `MalformedMessage`."""
        names = [x509.UniformResourceIdentifier(EDGE_URI + edge)]
        certificate = (
            _builder(f"pinggy edge {edge}"[:64], self.certificate.subject, _public_key(message.request), now, _LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Certified(
            certificate=_text(certificate), authority=_text(self.certificate), renew_in=_RENEW.total_seconds()
        )


def certified(authority: RelayAuthority | None, edge: str, message: Certify, now: datetime) -> Certified:
    """As `RelayAuthority.certify`. Raises `NotFound` where this core has no *authority*."""
    if authority is None:
        raise NotFound("This core signs no certificates for edges: it has no setting relay_ca.")
    return authority.certify(edge, message, now)


def ensure_relay_authority(path: Path, now: datetime) -> RelayAuthority:
    """The authority in the file *path* (PEM, key and certificate), made if there is none. Raises `SettingsError`."""
    data = ensure_key_file(_SETTING, path, lambda: _make(now))
    try:
        key = load_pem_private_key(data, password=None)
        certificate = x509.load_pem_x509_certificate(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(f"{_SETTING} names {path}, which has no private key and certificate in PEM.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        raise SettingsError(f"{_SETTING} names {path}, whose key and certificate do not belong to each other.")
    if certificate.not_valid_after_utc <= now:
        raise SettingsError(f"{_SETTING} names {path}, whose certificate is over: take it away, and another is made.")
    return RelayAuthority(certificate, key)


def _make(now: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"pinggy relay CA {secrets.token_hex(8)}")
    certificate = (
        _builder(name, name, key.public_key(), now, _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_signs_certificates(), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def _builder(
    subject: str | x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject if isinstance(subject, x509.Name) else _name(subject))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _public_key(request: str) -> ec.EllipticCurvePublicKey:
    """Of a request whose sender has the private key too."""
    if len(request) > _LONGEST_REQUEST:
        raise MalformedMessage("Certify.request is too long.")
    try:
        read = x509.load_pem_x509_csr(request.encode("utf-8", "surrogatepass"))
        key = read.public_key()
        if not read.is_signature_valid:
            raise MalformedMessage("Certify.request is not signed by its own key.")
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise MalformedMessage("Certify.request is no certificate signing request in PEM.") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedMessage("Certify.request has another key than one of the curve P-256.")
    return key


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signs_certificates() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
