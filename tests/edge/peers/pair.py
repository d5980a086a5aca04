"""
Two edges joined in memory: the link of one, the arrival of the other, and between them transports that know a
certificate but speak no TLS.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock

from pinggy.core.relay_ca import RelayAuthority, ensure_relay_authority
from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Mode, Passage
from pinggy.edge.limits import ConnectionLimit
from pinggy.edge.metrics import EdgeMetrics
from pinggy.edge.peers.arrivals import Arrival, Arrivals
from pinggy.edge.peers.identity import Identity
from pinggy.edge.peers.link import Link
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.edge.visitor.tcp import TcpVisitor
from pinggy.http.proxyprotocol import Endpoint
from pinggy.wire.places import Certified, Certify
from tests.support.transports import VisitorTransport

DOMAIN = "a.example"
VISITOR = Peer("192.0.2.7", 40000, Endpoint("198.51.100.1", 20001))


@cache
def authority() -> RelayAuthority:
    with TemporaryDirectory() as folder:
        return ensure_relay_authority(Path(folder) / "relay.pem", datetime.now(UTC))


def request(key: ec.EllipticCurvePrivateKey) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")


@cache
def certified(edge: str) -> Certified:
    key = ec.generate_private_key(ec.SECP256R1())
    return authority().certify(edge, Certify(instance="i", request=request(key)), datetime.now(UTC))


class PeerTransport(VisitorTransport):
    """The other end has shown the certificate of the edge *shown*; None: one that is no edge's."""

    def __init__(self, protocol: IProtocol, shown: str | None) -> None:
        super().__init__(protocol)
        self._shown = shown
        self.keep_alive = False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.keep_alive = bool(enabled)

    def getPeerCertificate(self) -> crypto.X509:
        certificate = authority().certificate
        if self._shown is not None:
            certificate = x509.load_pem_x509_certificate(certified(self._shown).certificate.encode())
        return crypto.X509.from_cryptography(certificate)


def passage(name: str = "port", mode: Mode = Mode.TCP, first: bytes = b"") -> Passage:
    return Passage(name=name, mode=mode, visitor=VISITOR, first=first)


class Far:
    """The edge that has the tunnels: its port for others, with a plain relay behind it."""

    def __init__(self, most: int = 10) -> None:
        self.clock = Clock()
        self.tunnels = Tunnels()
        self.connections = ConnectionLimit(most, self.clock)
        self.port = Arrivals(
            identity=Identity(core=None, clock=self.clock, instance="i"),  # type: ignore[arg-type]
            domain=DOMAIN,
            tunnels=self.tunnels,
            connections=self.connections,
            serve=self._serve,
            clock=self.clock,
            metrics=EdgeMetrics(),
        )

    def _serve(self, came: Passage, live: LiveForwarding) -> IProtocol:
        return TcpVisitor(live, came.visitor, self.clock)

    def arrival(self, shown: str | None = "near") -> tuple[Arrival, PeerTransport]:
        """A connection whose handshake is done."""
        made = Arrival(self.port, "192.0.2.1")
        transport = PeerTransport(made, shown)
        made.handshakeCompleted()
        return made, transport


class Joined:
    """A link to *far*, and its arrival there. `pump` carries what was written."""

    def __init__(
        self,
        far: Far,
        expected: str = "far",
        shown: str = "far",
        free: Callable[[Link], None] = lambda link: None,
        left: Callable[[Link], None] = lambda link: None,
    ) -> None:
        self.link = Link(expected, far.clock, free, left)
        self.near = PeerTransport(self.link, shown)
        self.arrival, self.far = far.arrival()
        self.link.ready().addErrback(lambda _: None)
        self.link.handshakeCompleted()

    def pump(self) -> None:
        """Until nothing moves any more. What is paused waits."""
        moved = True
        while moved:
            moved = False
            for source, target in ((self.near, self.far), (self.far, self.near)):
                if source.value() and not target.paused and target.connected:
                    data = source.value()
                    source.clear()
                    target.sends(data)
                    moved = True
            for source, target in ((self.near, self.far), (self.far, self.near)):
                if source.aborted and source.connected:
                    source.closes()
                    if target.connected:
                        target.resets()
                    moved = True
