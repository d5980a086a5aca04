"""
Which sessions are resumed, and which are not; and what is agreed on by ALPN.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from pinggy.certificates.store import LOOK_AGAIN, TICKET_KEYS_LIFE, Certificates
from tests.certificates.pairs import Visitor, put

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def of(path: Path, clock: Clock, folder: Path | None = None) -> Certificates:
    return Certificates(path, path.with_suffix(".key"), clock, folder)


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def visitor(request: pytest.FixtureRequest) -> Visitor:
    return Visitor(request.param)


def test_a_session_is_resumed_more_than_once(tmp_path: Path, visitor: Visitor) -> None:
    shown = of(put(tmp_path, "a", "*.a.example"), Clock()).for_server_name("shop.a.example")
    first = visitor.meets(shown)
    assert not first.resumed
    assert visitor.meets(shown, first.session).resumed
    assert visitor.meets(shown, first.session).resumed


def test_files_written_again_with_the_same_content_keep_sessions(tmp_path: Path, visitor: Visitor) -> None:
    clock = Clock()
    path = put(tmp_path, "a", "*.a.example")
    certificates = of(path, clock)
    session = visitor.meets(certificates.for_server_name(None)).session
    for each in (path, path.with_suffix(".key")):
        fresh = each.with_name("fresh")
        fresh.write_bytes(each.read_bytes())
        os.replace(fresh, each)
    clock.advance(LOOK_AGAIN)
    assert visitor.meets(certificates.for_server_name(None), session).resumed


def test_a_new_certificate_begins_new_sessions(tmp_path: Path, visitor: Visitor) -> None:
    clock = Clock()
    certificates = of(put(tmp_path, "a", "*.a.example"), clock)
    session = visitor.meets(certificates.for_server_name(None)).session
    put(tmp_path, "a", "*.a.example")
    clock.advance(LOOK_AGAIN)
    assert not visitor.meets(certificates.for_server_name(None), session).resumed


def test_a_session_of_one_certificate_is_nothing_to_another(tmp_path: Path, visitor: Visitor) -> None:
    put(tmp_path / "hosts", "shop", "shop.a.example")
    certificates = of(put(tmp_path, "a", "*.a.example"), Clock(), tmp_path / "hosts")
    other = visitor.meets(certificates.for_server_name("other.a.example"), server_name="other.a.example")
    shop = certificates.for_server_name("shop.a.example")
    assert not visitor.meets(shop, other.session, server_name="shop.a.example").resumed


def test_the_keys_of_tickets_are_thrown_away_in_time(tmp_path: Path, visitor: Visitor) -> None:
    clock = Clock()
    certificates = of(put(tmp_path, "a", "*.a.example"), clock)
    session = visitor.meets(certificates.for_server_name(None)).session
    clock.advance(TICKET_KEYS_LIFE - 1)
    assert visitor.meets(certificates.for_server_name(None), session).resumed
    clock.advance(1)
    met = visitor.meets(certificates.for_server_name(None), session)
    assert not met.resumed
    assert visitor.meets(certificates.for_server_name(None), met.session).resumed


@pytest.mark.parametrize(
    ("protocols", "offered", "chosen"),
    [
        ((b"h2", b"http/1.1"), ["http/1.1", "h2"], "h2"),
        ((b"h2", b"http/1.1"), ["http/1.1"], "http/1.1"),
        ((b"http/1.1",), ["h2", "http/1.1"], "http/1.1"),
        ((b"h2", b"http/1.1"), ["postgresql"], None),
        ((b"h2", b"http/1.1"), None, None),
        ((), ["h2", "http/1.1"], None),
    ],
)
def test_the_first_that_is_offered_is_agreed_on(
    tmp_path: Path, protocols: tuple[bytes, ...], offered: list[str] | None, chosen: str | None
) -> None:
    shown = of(put(tmp_path, "a", "*.a.example"), Clock()).for_server_name(None)
    met = Visitor(ssl.TLSVersion.TLSv1_3, offered).meets(shown, protocols=protocols)
    assert met.protocol == chosen
