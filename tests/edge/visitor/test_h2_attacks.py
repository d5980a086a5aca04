"""
What is sent to HTTP/2 servers to bring them down, written frame by frame: whoever does it is shut out after a number of
frames that is counted here, and what it has cost by then is bounded: streams at the local server, and bytes answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, count, islice, repeat

import pytest
from h2.errors import ErrorCodes

from pinggy.edge.h2.floods import BURST
from pinggy.edge.visitor.h2.connection import MOST_STREAMS, STREAM_WINDOW
from tests.edge.visitor.h2_visits import H2Visit
from tests.support import h2_frames as h2
from tests.support.h2_frames import Flag, Frame, Kind

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CALM, PROTOCOL, SIZE = ErrorCodes.ENHANCE_YOUR_CALM, ErrorCodes.PROTOCOL_ERROR, ErrorCodes.FRAME_SIZE_ERROR
# What a frame answers to one of theirs, at the most, on average: the page that says why.
MOST_ANSWERED = 500


def asks(method: bytes = b"GET", host: bytes = b"shop.a.example") -> bytes:
    return h2.block([(b":method", method), (b":scheme", b"https"), (b":authority", host), (b":path", b"/")])


GET, POST = asks(), asks(b"POST")
UPLOAD = h2.headers(1, POST, ends=False)

Attack = Iterator[bytes]


def each(*parts: Callable[[int], bytes]) -> Attack:
    """The *parts* for one stream after another."""
    return chain.from_iterable((part(stream) for part in parts) for stream in count(1, 2))


def begins(stream: int) -> bytes:
    return h2.headers(stream, GET, ends=False)


def begins_and_ends(stream: int) -> bytes:
    return h2.headers(stream, GET)


def after(first: bytes, then: bytes) -> Attack:
    return chain([first], repeat(then))


def attack(frames: Attack, most: int) -> tuple[H2Visit, bytes, int]:
    """Until it is shut out, or *most* frames have been sent; what was heard, and how many they were."""
    visit = H2Visit()
    visit.raw = bytearray()
    sent, heard = 0, b""
    for frame in islice(frames, most):
        if visit.transport.disconnecting:
            break
        visit.protocol.dataReceived(frame)
        heard += visit.transport.value()
        visit.transport.clear()
        sent += 1
    return visit, heard, sent


FLOODS: dict[str, tuple[Attack, ErrorCodes]] = {
    "rapid reset": (each(lambda stream: begins(stream) + h2.reset(stream)), CALM),
    "rapid reset, frame by frame": (each(begins_and_ends, h2.reset), CALM),
    "made you reset: a window that overflows": (each(begins, lambda stream: h2.window(stream, 2**31 - 1)), CALM),
    "made you reset: content behind the end": (each(begins_and_ends, lambda stream: h2.data(stream, b"x")), CALM),
    "requests that are none": (each(lambda stream: h2.headers(stream, asks(b"G T"))), CALM),
    "too many fields": (each(lambda stream: h2.headers(stream, GET + h2.indexed(17) * 200)), CALM),
    "settings": (repeat(h2.settings()), CALM),
    "settings by the thousand": (repeat(h2.settings(*((4, 65_535 + each) for each in range(2000)))), CALM),
    "settings that change the table": (
        chain.from_iterable(repeat([h2.settings((1, 0)), h2.settings((1, 4096))])),
        CALM,
    ),
    "settings that open and close windows": (
        chain([UPLOAD], chain.from_iterable(repeat([h2.settings((4, 0)), h2.settings((4, 65_535))]))),
        CALM,
    ),
    "acknowledgements of settings": (repeat(h2.frame(Kind.SETTINGS, flags=Flag.ACK)), CALM),
    "pings": (repeat(h2.frame(Kind.PING, payload=bytes(8))), CALM),
    "answers to pings": (repeat(h2.frame(Kind.PING, payload=bytes(8), flags=Flag.ACK)), CALM),
    "priorities": (repeat(h2.frame(Kind.PRIORITY, 1, bytes(5))), CALM),
    "priorities of stream after stream": (each(lambda stream: h2.frame(Kind.PRIORITY, stream, bytes(5))), CALM),
    "frames that nobody knows": (repeat(h2.frame(200, 0, bytes(100))), CALM),
    "frames that nobody knows, of a stream": (after(UPLOAD, h2.frame(200, 1, b"")), CALM),
    "empty content": (after(UPLOAD, h2.data(1, b"")), CALM),
    "content of padding alone": (after(UPLOAD, h2.data(1, b"", padding=255)), CALM),
}
# These are over at once, or after what a head may have.
ERRORS: dict[str, tuple[Attack, ErrorCodes, int]] = {
    "continuation": (
        after(h2.headers(1, GET, whole=False), h2.continuation(1, h2.literal(b"x", b"y" * 999))),
        PROTOCOL,
        70,
    ),
    "small continuation": (
        after(h2.headers(1, GET, whole=False), h2.continuation(1, h2.literal(b"x", b"y"))),
        PROTOCOL,
        70,
    ),
    "empty continuation": (after(h2.headers(1, GET, whole=False), h2.continuation(1, b"")), PROTOCOL, 70),
    "ping within a head": (after(h2.headers(1, GET, whole=False), h2.frame(Kind.PING, payload=bytes(8))), PROTOCOL, 2),
    "hpack bomb": (
        repeat(h2.headers(1, GET + h2.literal(b"x", b"y" * 4000, index=True) + h2.indexed(62) * 4000)),
        CALM,
        1,
    ),
    "an endless number": (repeat(h2.headers(1, b"\x7f" + b"\xff" * 99)), PROTOCOL, 1),
    "a field of no table": (repeat(h2.headers(1, h2.indexed(9999))), PROTOCOL, 1),
    "a table larger than may be": (repeat(h2.headers(1, h2.integer(2**20, 5, 0x20) + GET)), PROTOCOL, 1),
    "more streams than may be": (each(begins), PROTOCOL, MOST_STREAMS + 1),
    "a stream of our own": (repeat(h2.headers(2, GET)), PROTOCOL, 1),
    "a head twice": (repeat(begins(1)), PROTOCOL, 2),
    "streams backwards": (iter([begins(5), begins(3)]), PROTOCOL, 2),
    "a promise": (repeat(h2.frame(Kind.PUSH_PROMISE, 1, bytes(4), Flag.END_HEADERS)), PROTOCOL, 1),
    "a window of nothing": (repeat(h2.window(0, 0)), PROTOCOL, 1),
    "a window without end": (repeat(h2.window(0, 2**31 - 1)), ErrorCodes.FLOW_CONTROL_ERROR, 1),
    "content of no stream": (repeat(h2.data(0, b"x")), PROTOCOL, 1),
    "content of a stream that is none yet": (repeat(h2.data(9, b"x")), PROTOCOL, 1),
    "padding longer than its frame": (after(UPLOAD, h2.frame(Kind.DATA, 1, b"\xffx", Flag.PADDED)), PROTOCOL, 2),
    "content of 16 MB": (after(UPLOAD, h2.frame(Kind.DATA, 1, b"x", length=2**24 - 1)), SIZE, 2),
    "a head of 16 MB": (repeat(h2.frame(Kind.HEADERS, 1, b"", length=2**24 - 1)), SIZE, 1),
    "a ping of seven bytes": (repeat(h2.frame(Kind.PING, payload=bytes(7))), SIZE, 1),
    "half a setting": (repeat(h2.frame(Kind.SETTINGS, payload=bytes(5))), SIZE, 1),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods_are_shut_out(name: str) -> None:
    frames, code = FLOODS[name]
    visit, heard, sent = attack(frames, 4 * BURST)
    assert h2.goaway(heard) == code
    # The answer to our SETTINGS is the first that is counted.
    assert BURST - 1 <= sent <= 2 * BURST + 2
    assert len(visit.client.opened) <= BURST
    assert all(stream.over for stream in visit.client.opened)
    assert len(heard) <= MOST_ANSWERED * sent
    visit.leave()


@pytest.mark.parametrize("name", ERRORS)
def test_what_no_visitor_sends_is_the_end(name: str) -> None:
    frames, code, most = ERRORS[name]
    visit, heard, sent = attack(frames, most + 1)
    assert h2.goaway(heard) == code
    assert sent <= most
    assert len(visit.client.opened) <= MOST_STREAMS
    assert all(stream.over for stream in visit.client.opened)
    visit.leave()


def test_more_content_than_its_window_is_the_end_before_it_is_passed_on() -> None:
    visit = H2Visit()
    visit.raw = bytearray()
    visit.protocol.dataReceived(UPLOAD)
    stream = visit.stream
    stream.client_is_full()
    for _ in range(2 * STREAM_WINDOW // 16_384):
        visit.protocol.dataReceived(h2.data(1, bytes(16_384)))
    assert h2.goaway(visit.transport.value()) == ErrorCodes.FLOW_CONTROL_ERROR
    assert stream.aborted
    assert STREAM_WINDOW <= len(stream.written) < STREAM_WINDOW + 1000
    visit.leave()


def test_windows_that_stay_shut_hold_the_local_servers_and_not_what_they_say() -> None:
    """The slow read: 100 downloads for somebody who takes nothing, then byte by byte."""
    visit = H2Visit()
    visit.raw = bytearray()
    visit.protocol.dataReceived(h2.settings((4, 0)))
    for frame in islice(each(begins_and_ends), MOST_STREAMS):
        visit.protocol.dataReceived(frame)
    assert len(visit.client.opened) == MOST_STREAMS
    for stream in visit.client.opened:
        stream.client_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000))
        # No second piece is taken while the first waits.
        assert stream.paused
    assert not contents(visit)
    for _ in range(10):
        visit.protocol.dataReceived(h2.window(1, 1))
    assert [each.payload for each in contents(visit)] == [b"\0"] * 10
    assert visit.client.opened[0].paused
    visit.leave()


def contents(visit: H2Visit) -> list[Frame]:
    """The DATA frames that were heard since the last time."""
    heard = h2.frames(visit.transport.value())
    visit.transport.clear()
    return [each for each in heard if each.kind == Kind.DATA]


def test_whoever_stops_in_time_is_served_like_others() -> None:
    visit, _, _ = attack(FLOODS["rapid reset"][0], BURST // 2)
    assert visit.client.opened == []
    visit.protocol.dataReceived(h2.headers(99_999, GET))
    visit.stream.client_sends(OK)
    assert [each.payload for each in contents(visit)] == [b"hi"]
    visit.leave()
