"""
A certificate and its key, read from two files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from pinggy.certificates.context import HTTP_1_1, bare_context
from pinggy.certificates.names import covers, names_of


class CertificateUnusable(Exception):
    """The files are no certificate with its key; the text is one line for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """
    Where they are, in PEM: the *certificate*, which is the leaf and then its chain, and the *key*, without a password.
    """

    certificate: Path
    key: Path

    def read(self) -> PairContent:
        """Raises `CertificateUnusable`."""
        return PairContent(
            certificate=_read("certificate", self.certificate),
            key=_read("key", self.key),
        )

    def stamp(self) -> tuple[object, ...]:
        """Differs when a file was written, replaced or taken away."""
        return _stamp(self.certificate) + _stamp(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairContent:
    """What was in the two files."""

    certificate: bytes
    key: bytes = field(repr=False)


@implementer(IOpenSSLServerConnectionCreator)
class Shown:
    """
    The certificate of *pair*, ready to be shown. *names* are those that it covers, *expires* is in seconds since 1970.
    Sessions are resumed with keys that were made at *keys_since* (the clock's seconds).

    Raises `CertificateUnusable` when it is made of a *content* that is of no use.
    """

    def __init__(self, pair: Pair, content: PairContent, now: float) -> None:
        self.content = content
        self.keys_since = now
        self._chain = _chain(pair.certificate, content.certificate)
        self._private = _private(pair.key, content.key)
        leaf = self._chain[0]
        try:
            self.names = names_of(leaf)
        except ValueError as error:
            raise CertificateUnusable(f"The names of the certificate {pair.certificate} cannot be read.") from error
        self.expires = leaf.not_valid_after_utc.timestamp()
        self._identity = leaf.fingerprint(hashes.SHA256())
        # One for each list of protocols: their sessions are not each other's.
        self._contexts: dict[tuple[bytes, ...], SSL.Context] = {}
        try:
            self._context((HTTP_1_1,))
        except (SSL.Error, TypeError, ValueError) as error:
            raise CertificateUnusable(
                f"The key {pair.key} does not belong to the certificate {pair.certificate}."
            ) from error

    def covers(self, host: str) -> bool:
        return covers(self.names, host)

    def forget_sessions(self, now: float) -> None:
        """Make new keys: what was sealed with the old ones cannot be opened any more. Connections that stand go on."""
        self._contexts.clear()
        self.keys_since = now

    def connection(self, protocols: tuple[bytes, ...]) -> SSL.Connection:
        """For one visitor, who may choose of *protocols* (ALPN, RFC 7301)."""
        connection = SSL.Connection(self._context(protocols), None)
        connection.set_accept_state()
        return connection

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return self.connection((HTTP_1_1,))

    def _context(self, protocols: tuple[bytes, ...]) -> SSL.Context:
        context = self._contexts.get(protocols)
        if context is None:
            context = self._contexts[protocols] = self._new_context(protocols)
        return context

    def _new_context(self, protocols: tuple[bytes, ...]) -> SSL.Context:
        context = bare_context(self._identity, protocols)
        context.use_certificate(self._chain[0])
        for each in self._chain[1:]:
            context.add_extra_chain_cert(each)
        context.use_privatekey(self._private)  # type: ignore[arg-type]
        context.check_privatekey()
        return context


def _read(what: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateUnusable(f"The {what} {path} cannot be read: {error.strerror}.") from error


def _chain(path: Path, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise CertificateUnusable(f"The file {path} is no certificate in PEM.") from error


def _private(path: Path, content: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateUnusable(f"The file {path} is no private key in PEM without a password.") from error


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        status = path.stat()
    except OSError:
        return (None,)
    return (status.st_mtime_ns, status.st_size, status.st_ino)
