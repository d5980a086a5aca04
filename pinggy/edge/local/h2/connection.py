"""
One connection to a local server that speaks HTTP/2: each request is a stream of it, whoever's it is.

What the server sends waits in the windows of its streams, which are credited as each visitor takes it; the connection's
has room for all of them, so that one who does not read stops nobody else. What costs us and carries nothing is counted
(`Flood`), and so is what the client does not take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    PingReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame
from twisted.internet.interfaces import IReactorTime

from pinggy.edge import answers
from pinggy.edge.counted import Counted
from pinggy.edge.deadline import Deadline
from pinggy.edge.h2.floods import Flood
from pinggy.edge.h2.frames import ServerFrames
from pinggy.edge.h2.library import TAKEN_BACK, Connection
from pinggy.edge.h2.outlet import Outlet, Sender
from pinggy.edge.local.h2.lengths import HidingDecoder, shown
from pinggy.edge.stream import Stream
from pinggy.http.answer import Answer
from pinggy.http.h2heads import Fields

# What is received here is judged stream by stream, by `pinggy.http.h2heads`: the library would close the connection.
_CONFIG = H2Configuration(
    client_side=True,
    header_encoding=None,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)
MOST_STREAMS = 100
# What a local server may send on one stream before its visitor has taken any of it.
STREAM_WINDOW = 256 * 1024
# Each frame costs what it costs, however long it is: in these a large message takes a seventh less of CPU.
LARGEST_FRAME = 64 * 1024
LARGEST_HEAD = 64 * 1024
# Seconds without a request, and until a server has said its first word.
LONGEST_IDLE = 60.0
FIRST_WORD = 30.0
# Pings, settings, resets, interim responses and empty frames: the server is the owner's own, but may have gone mad.
BURST, A_SECOND = 2000, 500.0
# Bytes that were written since the client has taken any: heads, and answers to the server's pings. Content waits.
MOST_UNTAKEN = 2 * 1024 * 1024


class Call(Sender, Protocol):
    """Whoever has a stream. One of `server_reset`, `server_refused` and `server_lost` is the last that it is told."""

    def server_interim(self, fields: Fields) -> None: ...

    def server_responded(self, fields: Fields, *, ended: bool) -> None: ...

    def server_data(self, data: bytes, size: int) -> None:
        """*size* is what *data* takes of the window, its padding included."""
        ...

    def server_trailers(self, fields: Fields) -> None:
        """`server_ended` follows."""
        ...

    def server_ended(self) -> None: ...

    def server_reset(self, code: int) -> None: ...

    def server_refused(self) -> None:
        """The request was not looked at (RFC 9113 6.8, 8.7): it may be sent again over another connection."""
        ...

    def server_lost(self, why: Answer) -> None:
        """The connection is over; *why* is what may be said where nothing was."""
        ...


class H2Upstream:
    """
    The receiver of *stream* for as long as it lives. It counts what passes, and says `stream_over` to *tunnel* once.
    *leg* is how the stream began (`Policy.leg`), *scheme* is that of its requests. *over*: it is of no use any more,
    and *why* is what may be said of it. *served* is how many requests it has had.
    """

    def __init__(self, tunnel: Counted, stream: Stream, clock: IReactorTime, *, leg: object, scheme: bytes) -> None:
        self.tunnel = tunnel
        self.leg = leg
        self.scheme = scheme
        self.over = False
        self.why = answers.CLOSED
        self.served = 0
        self._stream = stream
        self._h2 = Connection(_CONFIG)
        self._frames = self._h2.incoming_buffer = ServerFrames()
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                SettingCodes.MAX_FRAME_SIZE: LARGEST_FRAME,
                SettingCodes.MAX_HEADER_LIST_SIZE: LARGEST_HEAD,
            },
        )
        self._h2.max_inbound_frame_size = LARGEST_FRAME
        self._h2.decoder = HidingDecoder(LARGEST_HEAD)
        self.outlet = Outlet(self._h2, self._is_full, self.flush)
        self._calls: dict[int, Call] = {}
        self._deadline = Deadline(clock, self._overdue)
        self._flood = Flood(clock, BURST, A_SECOND)
        self._full = False
        self._untaken = 0
        self._leaving = False
        self._sent_at_ping = 0
        self.tunnel.kept.add(self)

    def begin(self) -> None:
        """Ours first, without waiting for the server's (RFC 9113 3.4)."""
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(MOST_STREAMS * STREAM_WINDOW - 65_535)
        self.flush()
        self._deadline.set(FIRST_WORD)
        self._stream.attach(self)

    # -- what its exchanges ask ----------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether another request may be sent over it."""
        most = min(MOST_STREAMS, self._h2.remote_settings.max_concurrent_streams)
        return not (self.over or self._leaving) and len(self._calls) < most

    def open(self, call: Call, fields: Fields, *, ends: bool) -> int:
        """The number of a stream for *call*, whose head is on its way."""
        number = self._h2.get_next_available_stream_id()
        self._h2.send_headers(number, fields, end_stream=ends)
        # The library would count what follows the response to a HEAD; see `lengths`.
        self._h2.streams[number].request_method = None
        self._calls[number] = call
        if self._frames.has_begun:
            self._deadline.clear()
        return number

    def send_headers(self, number: int, fields: Fields) -> None:
        """Trailers."""
        self._do(lambda: self._h2.send_headers(number, fields, end_stream=True))

    def end_stream(self, number: int) -> None:
        self._do(lambda: self._h2.end_stream(number))

    def credit(self, number: int, size: int) -> None:
        if size:
            self._do(lambda: self._h2.acknowledge_received_data(size, number))

    def flush(self) -> None:
        data = self._h2.data_to_send()
        if not data or self.over:
            return
        if self._full:
            self._untaken += len(data)
            if self._untaken > MOST_UNTAKEN:
                self._break_off(answers.RESET)
                return
        self.tunnel.tally.received += len(data)
        self._stream.write(data)

    def leave(self, call: Call, code: ErrorCodes | None = None) -> None:
        """*call* is over; its stream is reset with *code* if it is not."""
        number = call.number
        if self._calls.pop(number, None) is None:
            return
        self.outlet.forget(call)
        self.served += 1
        if code is not None:
            self._do(lambda: self._h2.reset_stream(number, code))
            self.flush()
        if not self._calls:
            self._is_unused()

    def _do(self, what: Callable[[], object]) -> None:
        if not self.over:
            try:
                what()
            except TAKEN_BACK:
                """The server has reset the stream, and that will be said in a moment."""

    # -- between requests ----------------------------------------------------------------------------------------

    def retire(self) -> None:
        """No request comes over it any more; it closes when those that there are have ended."""
        self._leaving = True
        if not self._calls:
            self.close()

    def close_if_idle(self) -> None:
        if not self._calls:
            self.close()

    def close(self) -> None:
        if self.over:
            return
        self._h2.close_connection()
        self.flush()
        if not self.over:
            self._finish()
            self._stream.close()

    def _overdue(self) -> None:
        if self._frames.has_begun:
            self.close_if_idle()
        else:
            self._break_off(answers.NO_H2)

    def _is_unused(self) -> None:
        if self._leaving or self.tunnel.has_ended:
            self.close()
        elif self._frames.has_begun and not self.over:
            self._deadline.set(LONGEST_IDLE)

    # -- StreamReceiver ------------------------------------------------------------------------------------------

    def stream_data(self, data: bytes) -> None:
        self.tunnel.tally.sent += len(data)
        if self.over:
            return
        had_begun = self._frames.has_begun
        try:
            events = self._h2.receive_data(data)
        except H2Error:
            self._break_off(answers.NONSENSE if self._frames.has_begun else answers.NO_H2)
            return
        if self._frames.has_begun and not had_begun:
            self._said_first_word()
        for event in events:
            self._take(event)
            if self.over:
                return
        goaway, self._frames.goaway = self._frames.goaway, None
        if goaway is not None:
            self._go(goaway)
        self.flush()

    def _said_first_word(self) -> None:
        if self._calls:
            self._deadline.clear()
        else:
            self._is_unused()

    def stream_ended(self) -> None:
        # HTTP/2 has no half-close: nothing can come of the streams that there are.
        self.stream_closed()

    def stream_closed(self) -> None:
        self._break_off(answers.CLOSED if self._frames.has_begun else answers.NO_H2)

    def stream_full(self) -> None:
        self._full = True

    def stream_drained(self) -> None:
        self._full = False
        self._untaken = 0
        self.outlet.send()

    # -- what the server sends -----------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case DataReceived(stream_id=int(number)):
                self._data(number, event)
            case ResponseReceived(stream_id=int(number)):
                call = self._calls.get(number)
                if call is not None:
                    call.server_responded(shown(event.headers or ()), ended=event.stream_ended is not None)
            case TrailersReceived(stream_id=int(number)):
                call = self._calls.get(number)
                if call is not None:
                    call.server_trailers(event.headers or [])
            case StreamEnded(stream_id=int(number)):
                call = self._calls.get(number)
                if call is not None:
                    call.server_ended()
            case StreamReset(stream_id=int(number)):
                self._bear()
                call = self._calls.get(number)
                if call is not None:
                    self._was_reset(call, int(event.error_code or 0))
            case InformationalResponseReceived(stream_id=int(number)):
                self._bear()
                call = self._calls.get(number)
                if call is not None:
                    call.server_interim(shown(event.headers or ()))
            case WindowUpdated(stream_id=number):
                self.outlet.reopened(number)
            case RemoteSettingsChanged():
                self._bear()
                self.outlet.reopened(None)
            case PingReceived():
                sent, self._sent_at_ping = self._sent_at_ping, self.outlet.sent
                if sent == self._sent_at_ping:
                    self._bear()

    def _data(self, number: int, event: DataReceived) -> None:
        data, size = event.data or b"", event.flow_controlled_length or 0
        if not data and event.stream_ended is None:
            self._bear()
        call = self._calls.get(number)
        if call is not None:
            call.server_data(data, size)
        else:
            self.credit(number, size)

    def _was_reset(self, call: Call, code: int) -> None:
        self.leave(call)
        if code == ErrorCodes.REFUSED_STREAM:
            call.server_refused()
        else:
            call.server_reset(code)

    def _go(self, goaway: GoAwayFrame) -> None:
        """RFC 9113 6.8: streams that it has taken up come to their end, the others may go elsewhere."""
        self._leaving = True
        for number, call in list(self._calls.items()):
            if number > goaway.last_stream_id:
                self._calls.pop(number, None)
                self.outlet.forget(call)
                call.server_refused()
        if not self._calls:
            self.close()

    def _bear(self) -> None:
        if not self._flood.another() and not self.over:
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self._break_off(answers.NONSENSE)

    def _is_full(self) -> bool:
        return self.over or self._full

    # -- the end -------------------------------------------------------------------------------------------------

    def _break_off(self, why: Answer) -> None:
        if self.over:
            return
        self.why = why
        self.flush()
        if self.over:
            return
        self._finish()
        self._stream.abort()
        calls, self._calls = self._calls, {}
        for call in calls.values():
            self.outlet.forget(call)
            call.server_lost(why)

    def _finish(self) -> None:
        self.over = True
        self._deadline.stop()
        self.tunnel.kept.discard(self)
        self.tunnel.stream_over()
