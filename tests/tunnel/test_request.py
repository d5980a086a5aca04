from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.tunnel.refusals import MalformedForwarding, MalformedUser, Refusal, TokenMistyped, TwoTypes, UnknownKeyword
from pinggy.tunnel.request import Kind, Login, QrCode, parse_forward, parse_user
from pinggy.tunnel.token import new_token


def test_a_login_name_asks_for_nothing() -> None:
    assert parse_user(b"alice") == Login()


def test_the_token_comes_first_and_keywords_in_any_order_and_case() -> None:
    token = new_token()
    login = parse_user(f"{token.secret.reveal()}+Force+TCP+qr+json".encode())
    assert login == Login(token=token, kind=Kind.TCP, force=True, qr=QrCode.UNICODE, json=True)


def test_a_user_that_begins_with_a_keyword_has_no_token() -> None:
    assert parse_user(b"auth+tls+aqr+key") == Login(kind=Kind.TLS, auth=True, key=True, qr=QrCode.ASCII)


def test_the_same_type_twice_is_one_type() -> None:
    assert parse_user(b"tcp+tcp").kind is Kind.TCP


def test_a_keyword_after_a_login_name_counts() -> None:
    assert parse_user(b"alice+tcp") == Login(kind=Kind.TCP)


@pytest.mark.parametrize(
    ("user", "refusal", "says"),
    [
        (b"alice+bogus", UnknownKeyword, "'bogus'"),
        (b"tcp+tls", TwoTypes, "'tcp' and 'tls'"),
        (b"pgy-abc", TokenMistyped, "mistyped"),
        (b"\xff", MalformedUser, "UTF-8"),
        (b"a" * 257, MalformedUser, "256 bytes"),
        (b"a+\x1b[2J", UnknownKeyword, "keyword"),
    ],
)
def test_what_cannot_be_meant_is_refused(user: bytes, refusal: type[Refusal], says: str) -> None:
    with pytest.raises(refusal, match=says) as raised:
        parse_user(user)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("bind", [b"", b"*", b"localhost", b"0.0.0.0", b"::", b"127.0.0.1", b"::1", b"LOCALHOST"])
def test_the_default_forwarding_ignores_its_port(bind: bytes) -> None:
    request = parse_forward(bind, 8080, Kind.TLS)
    assert request.is_default
    assert request.kind is Kind.TLS
    assert request.port is None
    assert (request.bind, request.bind_port) == (bind.decode(), 8080)


@pytest.mark.parametrize(
    ("bind", "kind", "host", "port", "alias"),
    [
        (b"blog", Kind.HTTP, "blog", None, None),
        (b"http//blog", Kind.HTTP, "blog", None, None),
        (b"blog.a.example", Kind.HTTP, "blog.a.example", None, None),
        (b"tcp//anything/2222", Kind.TCP, "anything", 2222, None),
        (b"tcp///2222", Kind.TCP, "", 2222, None),
        (b"tcp//db", Kind.TCP, "db", None, None),
        (b"tls//blog/8443", Kind.TLS, "blog", None, None),
        (b"tlstcp//blog/1@redis", Kind.TLSTCP, "blog", None, "redis"),
        (b"TCP//db/0@x", Kind.TCP, "db", None, "x"),
        (b"udp//game/9", Kind.UDP, "game", 9, None),
    ],
)
def test_named_forwardings(bind: bytes, kind: Kind, host: str, port: int | None, alias: str | None) -> None:
    request = parse_forward(bind, 1, Kind.TCP)
    assert (request.kind, request.host, request.port, request.alias) == (kind, host, port, alias)
    assert not request.is_default


@pytest.mark.parametrize(
    ("bind", "says"),
    [
        (b"ftp//blog", "schema 'ftp'"),
        (b"//blog", "schema ''"),
        (b"http//", "no hostname"),
        (b"a/b/c", "not well formed"),
        (b"a@b@c", "not well formed"),
        (b"tcp//a/70000", "port"),
        (b"tcp//a/x", "port"),
        (b"a@", "after @"),
        (b"a@b c", "after @"),
        (b"\xff\xfe", "UTF-8"),
        (b"a" * 513, "512 bytes"),
    ],
)
def test_forwardings_that_cannot_be_meant(bind: bytes, says: str) -> None:
    with pytest.raises(MalformedForwarding, match=says):
        parse_forward(bind, 1, Kind.HTTP)


def test_a_port_beyond_16_bits_is_refused() -> None:
    with pytest.raises(MalformedForwarding, match="65536"):
        parse_forward(b"localhost", 65536, Kind.HTTP)


@given(st.binary(max_size=600), st.integers(min_value=0, max_value=2**32 - 1))
def test_a_strangers_bytes_are_a_value_or_a_sentence(data: bytes, port: int) -> None:
    for read in (lambda: parse_user(data), lambda: parse_forward(data, port, Kind.HTTP)):
        try:
            read()
        except Refusal as refusal:
            assert refusal.text.isprintable()
            assert len(refusal.text) < 400
