"""
A local server that speaks HTTP/2 (x:h2) as it likes: frames by chance, with visitors who come, send and go meanwhile.

Whatever it says, nothing of the edge breaks, and nothing stays behind.
"""

from __future__ import annotations

import random
from contextlib import suppress

from h2.exceptions import H2Error
from hpack import Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.edge.local.h2_server import H2ToH2
from tests.edge.visitor.visits import Visit

HEADERS = [
    ("content-length", "5"),
    ("content-length", "10"),
    ("content-type", "application/grpc"),
    ("grpc-status", "0"),
    ("connection", "close"),
    ("Upper", "x"),
    ("set-cookie", "a=b"),
]


def frame(chance: random.Random, responded: set[int], asked: list[int]) -> Frame:
    """Mostly one that may be said of a stream of *asked*, and now and then any."""
    number = chance.choice(asked) if asked and chance.random() < 0.95 else chance.choice((1, 2, 3, 101))
    ends = ["END_STREAM"] if chance.random() < 0.3 else []
    if chance.random() < 0.7:
        if number in responded and chance.random() < 0.7:
            return DataFrame(number, data=chance.randbytes(chance.choice((0, 1, 5, 10))), flags=ends)
        fields = [("grpc-status", "0")] if number in responded else [(":status", chance.choice(("200", "204", "100")))]
        if chance.random() < 0.3:
            fields += chance.sample(HEADERS, 2)
        flags = ["END_HEADERS", *(["END_STREAM"] if number in responded else ends)]
        responded.add(number)
        return HeadersFrame(number, data=Encoder().encode(fields), flags=flags)
    match chance.randrange(5):
        case 0:
            return RstStreamFrame(number, error_code=chance.choice((0, 2, 7, 8)))
        case 1:
            return SettingsFrame(0, settings={chance.choice((3, 4, 5)): chance.choice((0, 1, 100, 20_000))})
        case 2:
            return WindowUpdateFrame(chance.choice((0, number)), window_increment=chance.choice((1, 1000, 2**31 - 1)))
        case 3:
            return GoAwayFrame(0, last_stream_id=chance.choice((0, 1, 3, 2**31 - 1)))
        case _:
            return PingFrame(0, opaque_data=b"12345678")


@given(st.integers(0, 2**32))
def test_whatever_it_says_nothing_breaks_and_nothing_stays_behind(seed: int) -> None:
    chance = random.Random(seed)
    visit = H2ToH2()
    visit.servers = None
    visit.raw = bytearray()  # what he hears is not looked at
    other = Visit(visit.shop)
    calls: list[int] = []
    responded: dict[int, set[int]] = {}
    for _ in range(chance.randrange(5, 40)):
        act(chance, visit, other, calls, responded)
    for each in (visit, other):
        if each.transport.connected:
            each.transport.closes()
    visit.shop.tunnel.let_finish()
    assert visit.shop.tunnel.tally.open == 0
    assert not visit.shop.tunnel.kept
    assert not visit.clock.getDelayedCalls()
    assert not other.clock.getDelayedCalls()


def act(chance: random.Random, visit: H2ToH2, other: Visit, calls: list[int], responded: dict[int, set[int]]) -> None:
    """One thing happens."""
    match chance.randrange(10):
        case 0 | 1:
            calls.append(visit.call(end=chance.random() < 0.5))
        case 2 if other.is_open and not other.transport.aborted:
            other.say(b"GET / HTTP/1.1\r\nHost: shop.a.example\r\n\r\n")
        case 3 if calls:
            with suppress(H2Error):  # he may have ended it
                size, end = chance.choice((1, 1000, 16_000)), chance.random() < 0.3
                visit.visitor.send_data(chance.choice(calls), bytes(size), end_stream=end)
            visit.exchange()
        case 4 if calls:
            with suppress(H2Error):
                visit.visitor.reset_stream(chance.choice(calls))
            visit.exchange()
        case 5:
            visit.clock.advance(chance.choice((0.1, 1, 31, 61)))
        case 6 if visit.client.opened and not visit.stream.over:
            chance.choice((visit.stream.client_is_full, visit.stream.client_drains, visit.stream.client_ends))()
        case _ if visit.client.opened and not visit.stream.over:
            key = len(visit.client.opened)
            said = b"" if key in responded else SettingsFrame(0).serialize()
            mine = responded.setdefault(key, set())
            asked = list(range(1, 2 * len(calls), 2))
            said += b"".join(frame(chance, mine, asked).serialize() for _ in range(chance.randrange(1, 3)))
            cut = chance.randrange(len(said) + 1)
            visit.stream.client_sends(said[:cut])
            visit.stream.client_sends(said[cut:])
            visit.exchange()
