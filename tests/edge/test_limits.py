from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from pinggy.edge.limits import SAY_AGAIN, ConnectionLimit, counted_as
from tests.support.logs import logged


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_what_an_address_counts_as(host: str, address: str) -> None:
    assert counted_as(host) == address


def test_as_many_as_may_be_and_no_more() -> None:
    limit = ConnectionLimit(2, Clock())
    assert [limit.enter("192.0.2.7") for _ in range(3)] == [True, True, False]
    assert limit.enter("192.0.2.8")
    limit.leave("192.0.2.7")
    assert limit.enter("192.0.2.7")
    assert limit.open("192.0.2.7") == 2
    assert limit.total == 3


def test_nothing_is_kept_of_who_has_left() -> None:
    limit = ConnectionLimit(1, Clock())
    assert limit.enter("192.0.2.7")
    limit.leave("192.0.2.7")
    assert limit.open("192.0.2.7") == 0
    assert not limit._open


def test_it_is_said_once_a_minute_and_address() -> None:
    clock = Clock()
    limit = ConnectionLimit(0, clock)
    with logged("pinggy.edge.limits") as lines:
        for host in ("192.0.2.7", "192.0.2.7", "192.0.2.8", "192.0.2.7"):
            assert not limit.enter(host)
        assert len(lines) == 2
        clock.advance(SAY_AGAIN)
        limit.enter("192.0.2.7")
        limit.enter("192.0.2.7")
    assert lines == [
        "192.0.2.7 has 0 connections open: more are closed at once",
        "192.0.2.8 has 0 connections open: more are closed at once",
        "192.0.2.7 has 0 connections open: more are closed at once",
    ]
    assert len(limit._said) == 1
