"""
Pairs of files made for a test, and a visitor who shakes hands with one of them in memory.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

from pinggy.certificates.pair import Shown
from pinggy.issuing import Issued, new_authority, sign_leaf

NOW = datetime.now(UTC)
FOR_SERVERS = [ExtendedKeyUsageOID.SERVER_AUTH]
AUTHORITY = new_authority("authority of a test", NOW, timedelta(days=30))


def issued(subject: str, *names: str, days: float = 10) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    listed = [x509.DNSName(name) for name in names]
    return Issued(
        sign_leaf(
            AUTHORITY, subject, key.public_key(), listed, [ExtendedKeyUsageOID.SERVER_AUTH], NOW, timedelta(days=days)
        ),
        key,
    )


def put(folder: Path, stem: str, *names: str, days: float = 10) -> Path:
    """``STEM.pem`` and ``STEM.key`` in *folder*; the subject is the stem too. The certificate's path."""
    folder.mkdir(exist_ok=True)
    made = issued(stem, *names, days=days)
    path = folder / f"{stem}.pem"
    path.with_suffix(".key").write_bytes(
        made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    path.write_bytes(made.certificate.public_bytes(Encoding.PEM))
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What a visitor has of a handshake."""

    resumed: bool
    protocol: str | None
    session: ssl.SSLSession


class Visitor:
    """*version* is all that he speaks; he takes any certificate."""

    def __init__(self, version: ssl.TLSVersion, offers: list[str] | None = None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._context.minimum_version = self._context.maximum_version = version
        if offers:
            self._context.set_alpn_protocols(offers)

    def meets(
        self,
        shown: Shown,
        session: ssl.SSLSession | None = None,
        *,
        protocols: tuple[bytes, ...] = (b"http/1.1",),
        server_name: str = "shop.a.example",
    ) -> Met:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        visitor = self._context.wrap_bio(incoming, outgoing, server_hostname=server_name, session=session)
        server = shown.connection(protocols)
        done = False
        while not done:
            with suppress(ssl.SSLWantReadError):
                visitor.do_handshake()
                done = True
            if said := outgoing.read():
                server.bio_write(said)
            with suppress(SSL.WantReadError):
                server.do_handshake()
            with suppress(SSL.WantReadError):
                incoming.write(server.bio_read(65536))
        server.send(b"x")  # behind the tickets of TLS 1.3
        incoming.write(server.bio_read(65536))
        assert visitor.read(1) == b"x"
        assert visitor.session is not None
        return Met(
            resumed=bool(visitor.session_reused),
            protocol=visitor.selected_alpn_protocol(),
            session=visitor.session,
        )
