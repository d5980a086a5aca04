"""
By what edges know each other: a key that never leaves this process, and the core's certificate for it.
"""

from __future__ import annotations

import random
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from pinggy.edge.core_client import CoreClient
from pinggy.tunnel.refusals import Refusal
from pinggy.wire.places import EDGE_URI, Certified, Certify

log = Logger()

FIRST_WAIT = 1.0  # seconds before the core is asked again after it did not certify; doubled up to the last
LAST_WAIT = 60.0


class NotCertified(Exception):
    """There is no certificate yet, or what came is none."""


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class Identity:
    """
    Asks for a certificate at `start`, and for another one in time. Without one nobody is passed on or taken; nothing
    else depends on it.
    """

    def __init__(self, *, core: CoreClient, clock: IReactorTime, instance: str) -> None:
        self._core = core
        self._clock = clock
        self._instance = instance
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._server: SSL.Context | None = None
        self._client: SSL.Context | None = None
        self._asking: Deferred[None] | None = None

    @property
    def is_certified(self) -> bool:
        return self._server is not None

    def start(self) -> Deferred[None]:
        """Fires when there is a certificate, or the core has not given one at the first question."""
        first: Deferred[None] = Deferred()
        self._asking = Deferred.fromCoroutine(self._ask_for_ever(first)).addErrback(self._over)
        return first

    def stop(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        if self._client is None:
            raise NotCertified
        return SSL.Connection(self._client, None)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        if self._server is None:
            raise NotCertified
        return SSL.Connection(self._server, None)

    def take(self, certified: Certified) -> None:
        """Show this from now on. Raises `NotCertified`."""
        try:
            certificate = x509.load_pem_x509_certificate(certified.certificate.encode("ascii"))
            authorities = x509.load_pem_x509_certificates(certified.authority.encode("ascii"))
            self._server = self._context(SSL.TLS_SERVER_METHOD, certificate, authorities)
            self._client = self._context(SSL.TLS_CLIENT_METHOD, certificate, authorities)
        except (ValueError, TypeError, SSL.Error) as error:
            raise NotCertified from error

    async def _ask_for_ever(self, first: Deferred[None]) -> None:
        wait, said = FIRST_WAIT, ""
        while True:
            try:
                certified = await self._core.certify(Certify(instance=self._instance, request=self._request()))
                self.take(certified)
            except (Refusal, NotCertified) as trouble:
                why = trouble.text if isinstance(trouble, Refusal) else "the core's certificate is of no use"
                if why != said:
                    log.warn("other edges do not know this one: {why}", why=why)
                said, pause = why, wait * random.uniform(0.5, 1.0)  # noqa: S311 - spreads edges
                wait = min(2 * wait, LAST_WAIT)
            else:
                if said:
                    log.info("other edges know this one again")
                wait, said = FIRST_WAIT, ""
                pause = certified.renew_in * random.uniform(0.8, 1.0)  # noqa: S311
            if not first.called:
                first.callback(None)
            await deferLater(self._clock, pause)

    def _request(self) -> str:
        # What the certificate says is the core's to know: the request says nothing.
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")

    def _context(self, method: int, certificate: x509.Certificate, authorities: list[x509.Certificate]) -> SSL.Context:
        context = SSL.Context(method)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(b"pinggy-relay")
        context.use_certificate(certificate)
        context.use_privatekey(self._key)
        context.check_privatekey()
        store = context.get_cert_store()
        assert store is not None
        for each in authorities:
            store.add_cert(crypto.X509.from_cryptography(each))
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *seen: bool(seen[4]))
        return context

    def _over(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("asking for certificates broke", failure)


def edge_shown(transport: Any) -> str | None:
    """The name of the edge at the other end of a handshake that is done; None where its certificate is no edge's."""
    shown = transport.getPeerCertificate()
    if shown is None:
        return None
    try:
        names = shown.to_cryptography().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or not uris[0].startswith(EDGE_URI):
        return None
    return str(uris[0][len(EDGE_URI) :])
