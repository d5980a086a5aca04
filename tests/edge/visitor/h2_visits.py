"""
A visit over HTTP/2, both sides in memory: the visitor is the h2 library's client.
"""

from __future__ import annotations

from functools import partial

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from twisted.internet.task import Clock

from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Elsewhere, NothingElsewhere
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.edge.visitor.h2.connection import H2Visitor
from pinggy.edge.visitor.limits import WebLimits
from pinggy.edge.visitor.route import Route
from pinggy.edge.visitor.secured import Secured
from tests.edge.visitor.visits import FACE
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.transports import VisitorTransport

Fields = list[tuple[str, str]]


class H2Visit:
    """
    One visitor connection to an edge that has *lives*, or a tunnel called ``shop``. What was heard stands in *events*,
    by stream; he reads, and opens his windows, as long as *reads*. Where *raw* is not None he collects bytes there
    instead.
    """

    def __init__(
        self,
        *lives: LiveForwarding,
        limits: WebLimits | None = None,
        secured: Secured | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.tunnels = Tunnels()
        for live in lives or (live_forwarding(FakeClient()),):
            self.tunnels.add(live)
        shop = self.tunnels.by_name("shop")
        assert shop is not None
        assert isinstance(shop.tunnel.client, FakeClient)
        self.shop = shop
        self.client = shop.tunnel.client
        self.clock = Clock()
        self.reads = True
        self.events: list[Event] = []
        self.raw: bytearray | None = None
        self.visitor = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        way = partial(
            Route,
            tunnels=self.tunnels,
            face=FACE,
            secure=True,
            elsewhere=elsewhere or NothingElsewhere(),
            clock=self.clock,
            secured=secured,
        )
        self.protocol = H2Visitor(
            way=way, peer=Peer("192.0.2.7", 40000), clock=self.clock, limits=limits or WebLimits()
        )
        self.transport = VisitorTransport(self.protocol)
        self.visitor.initiate_connection()
        self.exchange()

    @property
    def stream(self) -> FakeStream:
        """The last stream to the local server."""
        return self.client.opened[-1]

    def exchange(self) -> None:
        """Both say what they have to say, until neither has anything."""
        while True:
            said = self.visitor.data_to_send()
            if said:
                self.protocol.dataReceived(said)
            heard = self.transport.value()
            self.transport.clear()
            if heard:
                self._hear(heard)
            elif not said:
                return

    def _hear(self, data: bytes) -> None:
        if self.raw is not None:
            self.raw += data
            return
        for event in self.visitor.receive_data(data):
            self.events.append(event)
            if isinstance(event, DataReceived) and self.reads and event.flow_controlled_length:
                assert event.stream_id is not None
                self.visitor.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def ask(
        self,
        method: str = "GET",
        path: str = "/a",
        *more: tuple[str, str],
        host: str = "shop.a.example",
        end: bool = True,
    ) -> int:
        number = self.visitor.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path), *more]
        self.visitor.send_headers(number, fields, end_stream=end)
        self.exchange()
        return number

    def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        self.visitor.send_data(number, data, end_stream=end)
        self.exchange()

    def answer(self, data: bytes, stream: FakeStream | None = None) -> None:
        """The local server sends *data*."""
        (stream or self.stream).client_sends(data)
        self.exchange()

    def asked(self, stream: FakeStream | None = None) -> bytes:
        """What came to the local server since the last time."""
        stream = stream or self.stream
        data = bytes(stream.written)
        stream.written.clear()
        return data

    # -- what was heard

    def fields(self, number: int) -> dict[str, str]:
        """Of the response; nothing where none has come."""
        found = [each for each in self._of(number) if isinstance(each, ResponseReceived)]
        return {str(name): str(value) for each in found[-1:] for name, value in each.headers or ()}

    def content(self, number: int) -> bytes:
        return b"".join(each.data or b"" for each in self._of(number) if isinstance(each, DataReceived))

    def trailers(self, number: int) -> Fields:
        found = [each for each in self._of(number) if isinstance(each, TrailersReceived)]
        return [(str(name), str(value)) for each in found for name, value in each.headers or ()]

    def has_ended(self, number: int) -> bool:
        return any(isinstance(each, StreamEnded) for each in self._of(number))

    def reset(self, number: int) -> int | None:
        """The error code by which the stream was reset, if it was."""
        codes = [each.error_code for each in self._of(number) if isinstance(each, StreamReset)]
        return None if not codes or codes[0] is None else int(codes[0])

    def _of(self, number: int) -> list[Event]:
        return [each for each in self.events if getattr(each, "stream_id", None) == number]

    def leave(self) -> None:
        """The connection is lost, and the tunnels end; nothing may stay behind."""
        if self.transport.connected:
            self.transport.closes()
        for tunnel in {self.shop.tunnel, *self.tunnels}:
            tunnel.let_finish()
            assert tunnel.tally.open == 0
            assert not tunnel.present
        assert not self.clock.getDelayedCalls()
