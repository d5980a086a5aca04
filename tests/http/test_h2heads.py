"""
Lengths that HTTP/2 leaves to us to judge: they go on into HTTP/1.1, whether content comes with them or not.
"""

from __future__ import annotations

import pytest

from pinggy.http.h2heads import request_head, response_head
from pinggy.http.malformed import Malformed

ASKS = [(b":method", b"PUT"), (b":scheme", b"https"), (b":authority", b"x"), (b":path", b"/")]
LENGTHS = [b"", b"+3", b"0x3", b"3, 3", b"-0", b"9223372036854775808", b"0" * 5000]


@pytest.mark.parametrize("length", LENGTHS)
def test_lengths_of_requests(length: bytes) -> None:
    with pytest.raises(Malformed):
        request_head([*ASKS, (b"content-length", length)], ended=False, most_headers=100, longest=100, largest=10_000)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("method", "status"), [("GET", b"200"), ("HEAD", b"200"), ("GET", b"204"), ("GET", b"304")])
def test_lengths_of_responses(method: str, status: bytes, length: bytes) -> None:
    with pytest.raises(Malformed):
        response_head([(b":status", status), (b"content-length", length)], method=method, ended=True)


def test_no_response_has_two_lengths_though_they_be_the_same() -> None:
    fields = [(b":status", b"200"), (b"content-length", b"3"), (b"content-length", b"3")]
    with pytest.raises(Malformed):
        response_head(fields, method="GET", ended=False)


def test_a_response_without_content_may_say_how_long_it_would_be() -> None:
    fields = [(b":status", b"200"), (b"content-length", b"3")]
    head = response_head(fields, method="HEAD", ended=True)
    assert head.framing == 0
    assert head.headers == (("content-length", "3"),)
