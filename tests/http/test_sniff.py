from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.http.sniff import Speech, sniff

SAID = [
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", Speech.SSH),
    (b"SSH-1.99-x\r\n", Speech.SSH),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Speech.TLS),
    (b"\x16\x03\x03", Speech.TLS),
    (b"GET / HTTP/1.1\r\n", Speech.HTTP),
    (b"S / HTTP/1.1\r\n", Speech.HTTP),
    (b"SSHX / HTTP/1.1\r\n", Speech.HTTP),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Speech.HTTP),
    (b"M-SEARCH * HTTP/1.1\r\n", Speech.HTTP),
    (b"UPDATEREDIRECTREF /x HTTP/1.1\r\n", Speech.HTTP),
    (b"get / http/1.1\r\n", Speech.HTTP),
    (b"GET/ HTTP/1.1\r\n", Speech.GARBAGE),
    (b"GET\r\n", Speech.GARBAGE),
    (b" GET /", Speech.GARBAGE),
    (b"\r\nGET /", Speech.GARBAGE),
    (b"-GET /", Speech.GARBAGE),
    (b"\x16\x02\x00", Speech.GARBAGE),
    (b"\x15\x03\x03\x00\x02\x02\x28", Speech.GARBAGE),
    (b"\x80\x2e\x01\x00\x02", Speech.GARBAGE),
    (b"\x00", Speech.GARBAGE),
    (b"ssh-2.0-wrong\r\n", Speech.GARBAGE),
    (b"A" * 18, Speech.GARBAGE),
]


@pytest.mark.parametrize(("said", "speech"), SAID)
def test_what_a_beginning_says(said: bytes, speech: Speech) -> None:
    assert sniff(said) is speech


@pytest.mark.parametrize(("said", "speech"), SAID)
def test_every_shorter_beginning_says_the_same_or_nothing(said: bytes, speech: Speech) -> None:
    assert {sniff(said[:end]) for end in range(len(said) + 1)} <= {speech, Speech.UNDECIDED}


@pytest.mark.parametrize("first", [b"", b"S", b"SS", b"SSH", b"\x16", b"G", b"GET", b"P", b"PRI", b"A" * 17])
def test_a_few_bytes_say_nothing_yet(first: bytes) -> None:
    assert sniff(first) is Speech.UNDECIDED


@given(first=st.binary(min_size=18, max_size=40))
def test_eighteen_bytes_always_say_something(first: bytes) -> None:
    assert sniff(first) is not Speech.UNDECIDED


@given(
    first=st.binary(max_size=24) | st.text("SHGET- \x16\x03", max_size=24).map(str.encode),
    more=st.binary(max_size=8),
)
def test_what_was_said_stays_said(first: bytes, more: bytes) -> None:
    if sniff(first) is not Speech.UNDECIDED:
        assert sniff(first + more) is sniff(first)
