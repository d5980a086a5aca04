"""
What stands on either side of a leg, in memory: a local server that speaks TLS, and a receiver that notes all.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress

from pinggy.edge.local_ca import LocalCertificate
from pinggy.edge.stream import Stream
from tests.support.streams import FakeStream


class Noting:
    """A `StreamReceiver`: *heard* is what came, *events* what else it was told."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.pieces: list[bytes] = []
        self.events: list[str] = []

    def attach_to(self, stream: Stream) -> Noting:
        stream.attach(self)
        return self

    def stream_data(self, data: bytes) -> None:
        self.heard += data
        self.pieces.append(data)

    def stream_ended(self) -> None:
        self.events.append("ended")

    def stream_closed(self) -> None:
        self.events.append("closed")

    def stream_full(self) -> None:
        self.events.append("full")

    def stream_drained(self) -> None:
        self.events.append("drained")


class TlsServer:
    """
    The local server behind *stream*, real TLS over memory. `turn` lets it read what was written to it, and send what
    it has to say, cut into pieces of *cut* bytes. *heard* is what it has read, *asked* the SNI, *ended* our end.
    """

    def __init__(
        self,
        certificate: LocalCertificate,
        *,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        protocols: Sequence[str] = (),
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        context.minimum_version = context.maximum_version = version
        if protocols:
            context.set_alpn_protocols(list(protocols))
        context.sni_callback = self._named
        self.stream = FakeStream()
        self.asked: str | None = None
        self.heard = bytearray()
        self.ended = False
        self.cut = 1 << 20
        self._read = 0
        self._shaken = False
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_side=True)

    def _named(self, tls: object, name: str, context: object) -> None:
        self.asked = name

    def turn(self) -> None:
        """Until neither side has anything to say."""
        while len(self.stream.written) > self._read or self._out.pending:
            self._in.write(bytes(self.stream.written[self._read :]))
            self._read = len(self.stream.written)
            self._work()
            self.flush()

    def flush(self) -> None:
        said = self._out.read()
        for at in range(0, len(said), self.cut):
            self.stream.client_sends(said[at : at + self.cut])

    def says(self, data: bytes) -> None:
        self.tls.write(data)
        self.flush()

    def says_goodbye(self) -> None:
        """A close_notify."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    def _work(self) -> None:
        with suppress(ssl.SSLWantReadError):
            if not self._shaken:
                self.tls.do_handshake()
                self._shaken = True
            while data := self.tls.read(1 << 16):
                self.heard += data
            self.ended = True
