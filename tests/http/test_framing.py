"""
Where bodies end, through every split of what comes.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.http.framing import (
    LONGEST_CHUNK_LINE,
    LONGEST_TRAILERS,
    Body,
    Delimited,
    Framing,
    body_of,
    chunk,
    last_chunk,
)
from pinggy.http.malformed import Malformed

NEXT = b"GET / HTTP/1.1\r\n"


def run(body: Body, *pieces: bytes) -> tuple[bytes, bytes | None]:
    """What was passed on, and what stood after the end (None: the end did not come)."""
    passed = b""
    for at, piece in enumerate(pieces):
        onward, rest, done = body.feed(piece)
        passed += onward
        if done:
            return passed, rest + b"".join(pieces[at + 1 :])
        assert not rest
    return passed, None


def in_pieces(framing: Framing, data: bytes, cuts: list[int]) -> tuple[bytes, bytes | None]:
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = [data[start:end] for start, end in pairwise(edges)]
    return run(body_of(framing), *pieces)


def chunked(chunks: list[bytes], trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks) + b"0\r\n" + trailers + b"\r\n"


cuts = st.lists(st.integers(0, 400), max_size=30)


@given(st.binary(max_size=300), cuts)
def test_a_body_of_a_known_length(content: bytes, at: list[int]) -> None:
    if content:
        assert in_pieces(len(content), content + NEXT, at) == (content, NEXT)
        assert in_pieces(len(content) + 1, content, at) == (content, None)


def test_no_body_ends_at_once() -> None:
    assert body_of(0).feed(b"") == (b"", b"", True)
    assert body_of(0).feed(NEXT) == (b"", NEXT, True)


@given(st.binary(min_size=1, max_size=300), cuts)
def test_a_body_until_the_connection_closes_has_no_end(content: bytes, at: list[int]) -> None:
    assert in_pieces(Delimited.UNTIL_CLOSE, content, at) == (content, None)


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=5), st.sampled_from([b"", b"A: b\r\nX-Sum:1\r\n"]), cuts)
def test_chunks_lose_their_frames(chunks: list[bytes], trailers: bytes, at: list[int]) -> None:
    wire = chunked(chunks, trailers)
    assert in_pieces(Delimited.CHUNKED, wire + NEXT, at) == (b"".join(chunks), NEXT)


def test_chunks_pass_at_every_split() -> None:
    wire = chunked([b"hello", b"\r\n0\r\n\r\n"], b"A: b\r\nX-Sum:1\r\n")
    for first in range(len(wire) + 1):
        for second in range(first, len(wire) + 1):
            pieces = (wire[:first], wire[first:second], wire[second:])
            body = body_of(Delimited.CHUNKED)
            assert run(body, *pieces) == (b"hello\r\n0\r\n\r\n", b"")
            assert body.trailers == (("A", "b"), ("X-Sum", "1"))


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=5), st.lists(st.sampled_from([("A", "b"), ("C", "")])))
def test_what_we_frame_is_read_as_it_was(chunks: list[bytes], trailers: list[tuple[str, str]]) -> None:
    body = body_of(Delimited.CHUNKED)
    wire = b"".join(chunk(each) for each in chunks) + last_chunk(tuple(trailers))
    assert run(body, wire + NEXT) == (b"".join(chunks), NEXT)
    assert body.trailers == tuple(trailers)


def test_data_is_passed_on_when_it_comes() -> None:
    body = body_of(Delimited.CHUNKED)
    assert body.feed(b"5\r\nhe") == (b"he", b"", False)
    assert body.feed(b"l") == (b"l", b"", False)


@pytest.mark.parametrize(
    "size", [b"5", b"05", b"000005", b"5;name=value", b'5 ; name="a b"', b'5;a;b = "\\";c";d', b"0000000000000005"]
)
def test_sizes_that_are_read(size: bytes) -> None:
    wire = size + b"\r\nhello\r\n0\r\n\r\n"
    assert run(body_of(Delimited.CHUNKED), wire) == (b"hello", b"")


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n",
        b"x\r\n",
        b"0x5\r\nhello",
        b"+5\r\nhello",
        b"-5\r\nhello",
        b" 5\r\nhello",
        b"5 \r\nhello",
        b"5_0\r\nhello",
        b"5\nhello",
        b"5\rx\r\nhello",
        b"5;a\nb\r\nhello",
        b"5;a\rb\r\nhello",
        b"5;a\0b\r\nhello",
        b"5;\r\nhello",
        b"5;;a\r\nhello",
        b"5;a;\r\nhello",
        b"5;=b\r\nhello",
        b"5;a=\r\nhello",
        b"5;a b\r\nhello",
        b"5;a:b\r\nhello",
        b"5;a=b=c\r\nhello",
        b'5;a="b\r\nhello',
        b'5;a="b\\"\r\nhello',
        b'5;a="b"c\r\nhello',
        b"5;a=\xe9\r\nhello",
        b"\xd9\xa5\r\nhello",
        b"ffffffffffffffff\r\nhello",
        b"00000000000000005\r\nhello",
        b"5\r\nhello\n",
        b"5\r\nhello\r\r\n",
        b"5\r\nhello0\r\n",
        b"5\r\nhelloworld\r\n",
        b"0\r\n\n",
        b"0\r\nno colon\r\n",
        b"0\r\n folded: x\r\n",
        b"0\r\nA : b\r\n",
        b"0\r\n: b\r\n",
        b"0\r\nA: b\0\r\n",
        b"0\r\nContent-Length: 5\r\n",
        b"0\r\ntransfer-encoding: chunked\r\n",
        b"0\r\nHost: b\r\n",
        b"0\r\nX_Forwarded_For: b\r\n",
        b"5;" + b"a" * LONGEST_CHUNK_LINE,
        b"0\r\n" + b"A: bcdefghij\r\n" * (LONGEST_TRAILERS // 10),
    ],
)
def test_malformed_chunks(wire: bytes) -> None:
    with pytest.raises(Malformed):
        run(body_of(Delimited.CHUNKED), wire)
    with pytest.raises(Malformed):
        run(body_of(Delimited.CHUNKED), *(wire[at : at + 1] for at in range(len(wire))))


def test_nothing_malformed_is_passed_on_before_it_is_refused() -> None:
    body = body_of(Delimited.CHUNKED)
    assert body.feed(b"5\r\nhello\r\n5;") == (b"hello", b"", False)
    with pytest.raises(Malformed):
        body.feed(b"\n")


@given(st.binary(max_size=100), cuts)
def test_garbage_is_refused_or_waited_for(garbage: bytes, at: list[int]) -> None:
    try:
        passed, rest = in_pieces(Delimited.CHUNKED, garbage, at)
    except Malformed:
        return
    # By chance it may be a body, or begin as one.
    assert len(passed) < len(garbage) or not garbage
    assert rest is None or (garbage.endswith(rest) and garbage.removesuffix(rest).endswith(b"\r\n\r\n"))
