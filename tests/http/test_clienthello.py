from __future__ import annotations

import ssl
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.http.clienthello import LONGEST_HELLO, ClientHello, HelloReader, MalformedHello

Outcome = ClientHello | MalformedHello | None


def real_hello(
    server_name: str | None = None, alpn: list[str] | None = None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> bytes:
    """What OpenSSL sends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(alpn)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def fed(*pieces: bytes) -> Outcome:
    """The first answer to *pieces*."""
    reader = HelloReader()
    for piece in pieces:
        outcome = reader.feed(piece)
        if outcome is not None:
            return outcome
    return None


def vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def extension(number: int, content: bytes) -> bytes:
    return number.to_bytes(2, "big") + vector(2, content)


def sni(name: bytes) -> bytes:
    return extension(0, vector(2, b"\0" + vector(2, name)))


def body(
    *extensions: bytes,
    session: bytes = b"",
    suites: bytes = b"\x13\x01",
    compressions: bytes = b"\0",
    more: bytes = b"",
) -> bytes:
    return (
        b"\x03\x03"
        + bytes(32)
        + vector(1, session)
        + vector(2, suites)
        + vector(1, compressions)
        + vector(2, b"".join(extensions))
        + more
    )


def record(content: bytes) -> bytes:
    return b"\x16\x03\x01" + vector(2, content)


def message(content: bytes) -> bytes:
    return b"\x01" + vector(3, content)


def hello(*extensions: bytes) -> bytes:
    return record(message(body(*extensions)))


REAL = real_hello("Shop.A.Example", ["h2", "http/1.1"])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_real_hello_names_its_host_and_protocols(version: ssl.TLSVersion) -> None:
    said = fed(real_hello("shop.a.example", ["h2", "http/1.1"], version))
    assert said == ClientHello(server_name="shop.a.example", alpn=("h2", "http/1.1"))


def test_a_real_hello_without_a_name() -> None:
    assert fed(real_hello()) == ClientHello(server_name=None, alpn=())


def test_a_hello_without_extensions_at_all() -> None:
    assert fed(record(message(body()[:-2]))) == ClientHello()


def test_bytes_one_by_one() -> None:
    reader = HelloReader()
    outcomes = [reader.feed(REAL[at : at + 1]) for at in range(len(REAL))]
    assert outcomes[:-1] == [None] * (len(REAL) - 1)
    assert outcomes[-1] == ClientHello(server_name="shop.a.example", alpn=("h2", "http/1.1"))
    assert reader.received == REAL


@given(cuts=st.lists(st.integers(0, len(REAL)), max_size=6).map(sorted), more=st.binary(max_size=50))
def test_every_split_reads_the_same(cuts: list[int], more: bytes) -> None:
    ends = [0, *cuts, len(REAL)]
    pieces = [REAL[start:end] for start, end in pairwise(ends)]
    pieces[-1] += more
    reader = HelloReader()
    outcomes = [reader.feed(piece) for piece in pieces]
    assert next(each for each in outcomes if each) == ClientHello(server_name="shop.a.example", alpn=("h2", "http/1.1"))
    assert reader.received == REAL + more


@given(sizes=st.lists(st.integers(1, 200), min_size=1, max_size=400))
def test_a_hello_over_several_records(sizes: list[int]) -> None:
    whole = message(body(sni(b"shop.a.example")))
    records, at = b"", 0
    for size in sizes:
        if at < len(whole):
            records += record(whole[at : at + size])
            at += size
    if at < len(whole):
        records += record(whole[at:])
    assert fed(records) == ClientHello(server_name="shop.a.example")


@pytest.mark.parametrize(
    ("name", "host"),
    [
        (b"shop.a.example", "shop.a.example"),
        (b"SHOP.A.Example.", "shop.a.example"),
        (b"under_score.a.example", "under_score.a.example"),
        (b"xn--bcher-kva.a.example", "xn--bcher-kva.a.example"),
        (b"127.0.0.1", "127.0.0.1"),
        (b"localhost", "localhost"),
        (b"a" * 63 + b".example", "a" * 63 + ".example"),
    ],
)
def test_names_that_are_hosts(name: bytes, host: str) -> None:
    assert fed(hello(sni(name))) == ClientHello(server_name=host)


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b".",
        b"a..b",
        b".a",
        b"a b",
        b"a.example..",
        b"a.example:443",
        b"[::1]",
        b"::1",
        b"\xc3\xbc.example",
        b"\xc3\x84.example",
        b"a\0.example",
        b"a.example\n",
        b"-a.example",
        b"../etc",
        b"a" * 64 + b".example",
        b"a." * 130 + b"a",
    ],
)
def test_names_that_are_no_hosts(name: bytes) -> None:
    assert isinstance(fed(hello(sni(name))), MalformedHello)


@pytest.mark.parametrize(
    "malformed",
    [
        pytest.param(b"GET / HTTP/1.1\r\n", id="not TLS"),
        pytest.param(b"\x17\x03\x01\x00\x05hello", id="application data"),
        pytest.param(b"\x16\x02\x01\x00\x05hello", id="SSL 2"),
        pytest.param(b"\x16\x03\x01\x00\x00", id="an empty record"),
        pytest.param(b"\x16\x03\x01\x40\x01", id="a record that is too long"),
        pytest.param(record(b"\x02"), id="a ServerHello"),
        pytest.param(record(b"\x01\x00\x80\x01"), id="a hello that is too long"),
        pytest.param(record(b"\x01\xff\xff\xff"), id="16 MB of hello"),
        pytest.param(record(message(b"")), id="nothing in it"),
        pytest.param(record(message(body()[:-1])), id="cut off"),
        pytest.param(record(message(body(session=bytes(33)))), id="a long session"),
        pytest.param(record(message(body(suites=b""))), id="no suites"),
        pytest.param(record(message(body(suites=b"\x13"))), id="half a suite"),
        pytest.param(record(message(body(compressions=b""))), id="no compressions"),
        pytest.param(record(message(body(more=b"x"))), id="more behind it"),
        pytest.param(hello(sni(b"a.example"), sni(b"b.example")), id="two SNI"),
        pytest.param(hello(extension(0, b"")), id="an empty SNI"),
        pytest.param(hello(extension(0, vector(2, b"\0" + vector(2, b"a")) + b"x")), id="more behind the SNI"),
        pytest.param(hello(extension(0, vector(2, b"\1" + vector(2, b"a")))), id="another kind of name"),
        pytest.param(hello(extension(0, vector(2, 2 * (b"\0" + vector(2, b"a"))))), id="two names"),
        pytest.param(hello(extension(16, vector(2, b""))), id="no protocols"),
        pytest.param(hello(extension(16, vector(2, vector(1, b"")))), id="an empty protocol"),
        pytest.param(hello(extension(16, vector(2, vector(1, b"h2")) + b"x")), id="more behind the protocols"),
        pytest.param(hello(extension(99, b"x")[:-1]), id="an extension cut off"),
    ],
)
def test_what_is_no_hello(malformed: bytes) -> None:
    assert isinstance(fed(malformed), MalformedHello)
    assert isinstance(fed(*(malformed[at : at + 1] for at in range(len(malformed)))), MalformedHello)


def test_protocols_that_are_not_ascii() -> None:
    assert fed(hello(extension(16, vector(2, vector(1, b"\xda\xda") + vector(1, b"h2"))))) == ClientHello(
        alpn=("\xda\xda", "h2")
    )


def test_what_is_kept_has_a_bound() -> None:
    reader = HelloReader()
    fragment = record(b"\x01\x00\x70\x00") + record(b"\0") * 10_000
    outcome: Outcome = None
    for at in range(0, len(fragment), 1000):
        outcome = reader.feed(fragment[at : at + 1000])
        if outcome is not None:
            break
    assert outcome == MalformedHello("the ClientHello is too long")
    assert len(reader.received) <= LONGEST_HELLO + 1000


@given(garbage=st.binary(max_size=300))
def test_garbage_is_never_an_exception(garbage: bytes) -> None:
    fed(garbage)
    fed(b"\x16\x03\x01" + garbage)
    fed(record(b"\x01" + garbage)) if garbage else None


@given(at=st.integers(0, len(REAL) - 1), byte=st.integers(0, 255))
def test_a_flipped_byte_is_never_an_exception(at: int, byte: int) -> None:
    fed(REAL[:at] + bytes([byte]) + REAL[at + 1 :])


@given(at=st.integers(0, len(REAL) - 1))
def test_a_beginning_is_never_an_answer(at: int) -> None:
    assert fed(REAL[:at]) is None
