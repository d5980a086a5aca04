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
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from pinggy.core.key_file import ensure_key_file
from pinggy.issuing import Issued, new_authority, sign_leaf
from pinggy.settings import SettingsError
from pinggy.tunnel.refusals import MalformedMessage, NotFound
from pinggy.wire.places import EDGE_URI, Certified, Certify

_SETTING = "The setting core.relay_ca"
_AUTHORITY_LIFE = timedelta(days=3652)
_LIFE = timedelta(hours=24)
_RENEW = timedelta(hours=8)
_LONGEST_REQUEST = 8 * 1024


@dataclass(frozen=True, slots=True)
class RelayAuthority(Issued):
    def certify(self, edge: str, message: Certify, now: datetime) -> Certified:
        """The certificate of *edge* for 24 hours from *now*. Raises `MalformedMessage`."""
        certificate = sign_leaf(
            self,
            f"pinggy edge {edge}",
            _public_key(message.request),
            [x509.UniformResourceIdentifier(EDGE_URI + edge)],
            [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
            now,
            _LIFE,
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
    made = new_authority(f"pinggy relay CA {secrets.token_hex(8)}", now, _AUTHORITY_LIFE)
    private = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + made.certificate.public_bytes(Encoding.PEM)


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


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
