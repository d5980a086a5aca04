"""
The certificate of the TLS that ends here: read from files, and read again when they change.

`Certificates.for_server_name` is asked for every handshake with the host of the SNI: that is where certificates of
other hosts will be looked up.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IReactorTime
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

# Seconds between two looks at the files; a handshake looks, nobody else.
LOOK_AGAIN = 1.0

# TLS 1.2 with forward secrecy and AEAD (RFC 9325 4.2); TLS 1.3 has its own list, all of it good.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"


class CertificateUnusable(Exception):
    """The files are no certificate with its key; the text is one line for the operator."""


class Certificates:
    """
    The *certificate* (PEM, the leaf first and then its chain) and its *key* (PEM, without a password).

    The first reading raises `CertificateUnusable`; when later files are of no use, one line is logged and those that
    were good stay.
    """

    _log = Logger()

    def __init__(self, certificate: Path, key: Path, clock: IReactorTime) -> None:
        self._certificate = certificate
        self._key = key
        self._clock = clock
        self._seen = self._stamp()
        self._looked = clock.seconds()
        self._context = load_context(certificate, key)
        self._expires = _expiry(certificate)

    @property
    def expires(self) -> float | None:
        """When the certificate in use runs out, in seconds since 1970; None where it is being replaced just now."""
        if self._clock.seconds() - self._looked >= LOOK_AGAIN:
            self._look()
        return self._expires

    def for_server_name(self, server_name: str | None) -> IOpenSSLServerConnectionCreator:
        """What makes the connections of visitors who ask for *server_name* (today one certificate has every name)."""
        if self._clock.seconds() - self._looked >= LOOK_AGAIN:
            self._look()
        return _Connections(self._context)

    def _look(self) -> None:
        self._looked = self._clock.seconds()
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._context = load_context(self._certificate, self._key)
        except CertificateUnusable as error:
            self._log.warn("{error} The certificate read before stays in use.", error=str(error))
        else:
            self._expires = _expiry(self._certificate)
            self._log.info("The certificate {path} has changed and was read again.", path=str(self._certificate))

    def _stamp(self) -> tuple[object, ...]:
        """Differs when a file was written, replaced or taken away."""
        return _stamp(self._certificate) + _stamp(self._key)


@implementer(IOpenSSLServerConnectionCreator)
class _Connections:
    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context, None)


def load_context(certificate: Path, key: Path) -> SSL.Context:
    """
    A context for servers: TLS 1.2 and 1.3, session tickets, ``http/1.1`` where the visitor offers ALPN.

    Raises `CertificateUnusable`.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    except OSError as error:
        raise CertificateUnusable(f"The certificate {certificate} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CertificateUnusable(f"The file {certificate} is no certificate in PEM.") from error
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        raise CertificateUnusable(f"The key {key} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateUnusable(f"The file {key} is no private key in PEM without a password.") from error
    context = _bare_context()
    try:
        context.use_certificate(chain[0])
        for each in chain[1:]:
            context.add_extra_chain_cert(each)
        context.use_privatekey(private)  # type: ignore[arg-type]
        context.check_privatekey()
    except (SSL.Error, TypeError, ValueError) as error:
        raise CertificateUnusable(f"The key {key} does not belong to the certificate {certificate}.") from error
    return context


def _expiry(certificate: Path) -> float | None:
    try:
        leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    except (OSError, ValueError, IndexError):
        return None
    return leaf.not_valid_after_utc.timestamp()


def _bare_context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    # An idle connection gives its 34 KB of buffers back.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(_CIPHERS)
    # Sessions are resumed by tickets, which cost this side no memory.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"pinggy")
    context.set_alpn_select_callback(
        lambda _, offered: b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS
    )
    return context


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        status = path.stat()
    except OSError:
        return (None,)
    return (status.st_mtime_ns, status.st_size, status.st_ino)
