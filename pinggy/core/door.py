"""
Where the core is listened at: a port, with TLS where the settings have a certificate.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IOpenSSLServerConnectionCreator, IReactorTime
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from pinggy.certificates.pair import CertificateUnusable
from pinggy.certificates.store import Certificates
from pinggy.core.config import ListenSettings
from pinggy.settings import SettingsError


class Door:
    """The files are read when it is made, the port is opened by `open`. Both raise `SettingsError`."""

    def __init__(self, reactor: Any, listen: ListenSettings) -> None:
        self._reactor = reactor
        self._listen = listen
        self._certificates = _certificates(listen, reactor)

    def certificate_expires(self) -> float | None:
        """Seconds since 1970; None without TLS."""
        return None if self._certificates is None else self._certificates.expires

    def open(self, factory: Any) -> IListeningPort:
        listen = self._listen
        if self._certificates is not None:
            factory = TLSMemoryBIOFactory(_Current(self._certificates), False, factory, self._reactor)
        try:
            port: IListeningPort = self._reactor.listenTCP(listen.port, factory, interface=listen.host)
        except CannotListenError as error:
            why = getattr(error.socketError, "strerror", None) or error.socketError
            raise SettingsError(
                f"The setting core.listen.port = {listen.port} is of no use, on {listen.host}: {why}."
            ) from error
        return port

    def url(self, port: int) -> str:
        """Where *port* is reached on this machine, without a final slash."""
        host = self._listen.host
        scheme = "http" if self._certificates is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@implementer(IOpenSSLServerConnectionCreator)
class _Current:
    """Every connection is shown the certificate that the files hold then."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return self._certificates.for_server_name(None).serverConnectionForTLS(protocol)


def _certificates(listen: ListenSettings, clock: IReactorTime) -> Certificates | None:
    if listen.certificate is None or listen.key is None:
        return None
    try:
        return Certificates(listen.certificate, listen.key, clock)
    except CertificateUnusable as error:
        raise SettingsError(f"The setting core.listen.certificate is of no use: {error}") from error
