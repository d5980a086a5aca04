"""
One visitor's HTTP/2 connection: what comes in frames becomes requests, each on its way by itself.

What he sends waits in his windows: those of a stream are credited as its exchange takes content, the connection's with
them. What costs us and carries nothing is counted (`Flood`); what he does not read stops what he sends.
"""

from __future__ import annotations

from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame
from twisted.internet import protocol
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from pinggy.edge import answers
from pinggy.edge.client import Peer
from pinggy.edge.deadline import Deadline
from pinggy.edge.h2.floods import Flood
from pinggy.edge.h2.frames import PromptFrames
from pinggy.edge.h2.library import TAKEN_BACK, Connection
from pinggy.edge.h2.outlet import Outlet
from pinggy.edge.tunnels import LiveTunnel
from pinggy.edge.visitor.h2.stream import RequestStream
from pinggy.edge.visitor.limits import WebLimits
from pinggy.edge.visitor.route import Route, Traveller, Way
from pinggy.edge.visitor.stay import Stay
from pinggy.edge.visitor.wire import Wire
from pinggy.http.framing import Trailers
from pinggy.http.h2heads import Fields, request_head, trailers
from pinggy.http.malformed import Malformed

_CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    # `h2heads` is stricter; and to look once is enough.
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)
# RFC 9113 6.5.2. What a stream and what a connection may send before any of it has gone on.
MOST_STREAMS = 100
STREAM_WINDOW = 256 * 1024
CONNECTION_WINDOW = 1024 * 1024


class H2Visitor(protocol.Protocol):
    """Of requests that go by *way*. It begins with the preface of HTTP/2, which the visitor says first."""

    def __init__(self, *, way: Way, peer: Peer, clock: IReactorTime, limits: WebLimits) -> None:
        self.clock = clock
        self.body_seconds = limits.body_seconds
        self.answer_seconds = limits.answer_seconds
        self.linger_seconds = limits.linger_seconds
        self._way = way
        self._stay = Stay(peer, self._cut, ended=self._part, most=MOST_STREAMS)
        self._limits = limits
        self._h2 = Connection(_CONFIG)
        self._frames = self._h2.incoming_buffer = PromptFrames(server=True)
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: limits.head_bytes,
            },
        )
        # One that is somewhat too large is told so; to read it is dear for one that is much larger.
        self._h2.decoder.max_header_list_size = 4 * limits.head_bytes
        self.outlet = Outlet(self._h2, self.is_full, self.flush)
        self._streams: dict[int, RequestStream] = {}
        self._deadline = Deadline(clock, self._idle)
        self._flood = Flood(clock)
        self._sent_at_ping = 0
        self._last = 0
        self._going = False
        self._closing = False
        self._gone = False

    # -- Twisted's side ------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        assert self.transport is not None
        self._wire = Wire(self.transport, self, secure=True, clock=self.clock, patience=self.body_seconds)
        self._deadline.set(self._limits.head_seconds)
        self._wire.start()
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - 65535)
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            events = self._h2.receive_data(data)
        except H2Error:
            # The library has written why.
            self._shut()
            return
        taken_back: set[int | None] = {event.stream_id for event in events if isinstance(event, StreamReset)}
        for event in events:
            self._take(event, taken_back)
            if self._closing:
                return
        if self._frames.goaway is not None and not self._going:
            # He asks no more.
            self._going = True
            if not self._streams:
                self._shut()
        self.flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = self._closing = True
        self._deadline.stop()
        self._wire.lost()
        for stream in list(self._streams.values()):
            stream.lost()
        self._stay.leave()

    # -- what he sends -------------------------------------------------------------------------------------------

    def _take(self, event: Event, taken_back: set[int | None]) -> None:
        match event:
            case RequestReceived(stream_id=int(number)):
                if number not in taken_back:
                    self._ask(number, event)
            case DataReceived(stream_id=int(number)):
                self._data(number, event)
            case TrailersReceived(stream_id=int(number)):
                self._end(number, event.headers)
            case StreamEnded(stream_id=int(number)):
                stream = self._streams.get(number)
                if stream is not None:
                    stream.end()
            case StreamReset(stream_id=int(number)):
                self._bear()
                stream = self._streams.get(number)
                if stream is not None:
                    stream.lost()
            case WindowUpdated(stream_id=number):
                self.outlet.reopened(number)
            case RemoteSettingsChanged():
                self._bear()
                self.outlet.reopened(None)
            case PingReceived():
                self._ping()
            case PriorityUpdated() | PingAckReceived() | SettingsAcknowledged() | UnknownFrameReceived():
                # Answers to more than was asked, and what nobody knows, cost no less than the rest.
                self._bear()

    def _ask(self, number: int, event: RequestReceived) -> None:
        if self._going:
            self.reset(number, ErrorCodes.REFUSED_STREAM)
            return
        self._last = number
        self._deadline.clear()
        stream = self._streams[number] = RequestStream(self, number)
        ended = event.stream_ended is not None
        try:
            head = request_head(
                event.headers or (),
                ended=ended,
                most_headers=self._limits.header_count,
                longest=self._limits.target_bytes,
                largest=self._limits.head_bytes,
            )
        except Malformed as malformed:
            self._bear()
            stream.reject(answers.malformed(malformed))
            return
        stream.ask(head, ended=ended)

    def _data(self, number: int, event: DataReceived) -> None:
        size = event.flow_controlled_length or 0
        if not event.data and event.stream_ended is None:
            self._bear()
        stream = self._streams.get(number)
        if stream is None:
            self.credit(number, size)
        else:
            stream.data(event.data or b"", size)

    def _end(self, number: int, fields: Fields) -> None:
        """With trailers; `StreamEnded` follows, and finds that it has ended."""
        stream = self._streams.get(number)
        if stream is None:
            return
        try:
            said: Trailers = trailers(fields)
        except Malformed:
            self.reset(number, ErrorCodes.PROTOCOL_ERROR)
            stream.lost()
            return
        stream.end(said)

    def _ping(self) -> None:
        """gRPC measures its round trip by pings, one at a time as long as something comes: those are no flood."""
        sent, self._sent_at_ping = self._sent_at_ping, self.outlet.sent
        if sent == self._sent_at_ping:
            self._bear()

    def _bear(self) -> None:
        if not self._flood.another():
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self._shut()

    # -- Connection: what its streams ask ------------------------------------------------------------------------

    def way_for(self, traveller: Traveller) -> Route:
        return self._way(traveller, stay=self._stay)

    def credit(self, number: int, size: int) -> None:
        if size and not self._closing:
            self._h2.acknowledge_received_data(size, number)

    def send_headers(self, number: int, fields: Fields, *, ends: bool) -> None:
        if not self._closing:
            try:
                self._h2.send_headers(number, fields, end_stream=ends)
            except TAKEN_BACK:
                """It will be said in a moment."""

    def end_stream(self, number: int) -> None:
        if not self._closing:
            try:
                self._h2.end_stream(number)
            except TAKEN_BACK:
                """As above."""

    def reset(self, number: int, code: ErrorCodes) -> None:
        if not self._closing:
            try:
                self._h2.reset_stream(number, code)
            except TAKEN_BACK:
                """As above."""

    def flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self._gone:
            self._wire.send(data)

    def farewell(self) -> None:
        """
        RFC 9113 6.8. The library would send nothing more after its GOAWAY; ours leaves the streams that there are.
        """
        if self._going or self._closing:
            return
        self._going = True
        self.flush()
        self._wire.send(GoAwayFrame(0, last_stream_id=self._last).serialize())

    def over(self, number: int) -> None:
        self._streams.pop(number, None)
        if self._streams or self._closing:
            return
        if self._going:
            self._shut()
        else:
            self._deadline.set(self._limits.idle_seconds)

    def _cut(self, tunnel: LiveTunnel) -> None:
        """*tunnel* let him in and does not any more; others that he visits over this connection have no part in it."""
        for stream in list(self._streams.values()):
            if stream.visited is tunnel:
                stream.cut()

    # -- WireUser: how the visitor reads -------------------------------------------------------------------------

    def is_full(self) -> bool:
        return self._closing or self._wire.full

    def wire_full(self) -> None:
        # Who does not read what we answer is not asked for more, and nobody answers more.
        self._wire.read(False)
        for stream in list(self._streams.values()):
            stream.wire_full()

    def wire_drained(self) -> None:
        if not self._gone:
            self._wire.read(True)
        self.outlet.send()
        for stream in list(self._streams.values()):
            stream.wire_drained()

    def wire_stalled(self) -> None:
        self._closing = True
        self._wire.abort()

    def wire_finishing(self) -> None:
        if not self._gone:
            self._deadline.set(self._limits.closing_seconds)

    # -- the end -------------------------------------------------------------------------------------------------

    def _idle(self) -> None:
        if self._closing:
            self._wire.abort()
        else:
            self._part()

    def _part(self) -> None:
        """He has been idle for long, or a tunnel that he came for has ended: he shall ask anew, maybe elsewhere."""
        self.farewell()
        if not self._streams:
            self._shut()

    def _shut(self) -> None:
        """Say what is to be said, and close."""
        if self._closing:
            return
        self.flush()
        self._closing = True
        # For one who does not read what is left.
        self._deadline.set(self._limits.closing_seconds)
        for stream in list(self._streams.values()):
            stream.lost()
        self._wire.finish(linger=False)
