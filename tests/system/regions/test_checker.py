"""The checker finds what it is there for: histories that somebody has made up, and that must not be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.system.regions.checker import (
    DEAD_RECORD,
    ONE_OWNER,
    OWN_TUNNEL,
    WHOLE_BYTES,
    check_owners,
    check_visits,
    check_zone,
    missing_records,
)
from tests.system.regions.histories import CORRUPT, CUT_SHORT, OK, Grant, Record, Visit

FIRST = Grant(
    tunnel="a" * 32,
    account="alice",
    edge="us",
    region="us",
    kind="http",
    name="blog",
    port=None,
    epoch=7,
    started=100.0,
    ended=200.0,
    live=False,
)
SECOND = replace(FIRST, tunnel="b" * 32, edge="eu", region="eu", epoch=9, started=200.0, ended=None, live=True)
VISIT = Visit(
    at=150.0,
    took=0.1,
    kind="https",
    name="blog",
    resolver="honest",
    edge="10.77.0.2",
    nonce="1-1",
    outcome=OK,
    answered_by="alice",
)
ACCOUNTS = {"blog": "alice"}


def test_one_after_the_other_is_right() -> None:
    assert list(check_owners([FIRST, SECOND])) == []
    assert list(check_owners([FIRST, replace(SECOND, name="shop", started=110.0)])) == []


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param([FIRST, replace(SECOND, epoch=7)], id="an epoch given twice"),
        pytest.param([FIRST, replace(SECOND, epoch=7, name="shop")], id="an epoch given twice, for two names"),
        pytest.param([replace(FIRST, ended=None), SECOND], id="two at once"),
        pytest.param([replace(FIRST, ended=260.0), SECOND], id="the old one ends long after the new one begins"),
        pytest.param([FIRST, replace(SECOND, epoch=6)], id="epochs are not in the order of owners"),
        pytest.param(
            [replace(FIRST, port=20001, ended=None), replace(SECOND, name="shop", port=20001)], id="two at a port"
        ),
    ],
)
def test_two_owners(bad: list[Grant]) -> None:
    found = list(check_owners(bad))
    assert found
    assert {each.rule for each in found} == {ONE_OWNER}


def test_what_the_owner_answers_is_right() -> None:
    assert list(check_visits([VISIT, replace(VISIT, outcome=CUT_SHORT, answered_by=None)], [FIRST], ACCOUNTS, {})) == []


def test_another_accounts_tunnel() -> None:
    (found,) = check_visits([replace(VISIT, answered_by="mallory")], [FIRST], ACCOUNTS, {})
    assert found.rule == OWN_TUNNEL


def test_somebody_who_never_had_a_free_name() -> None:
    grants = [FIRST, replace(SECOND, account="bob")]
    assert list(check_visits([VISIT, replace(VISIT, at=300.0, answered_by="bob")], grants, {}, {})) == []
    (early,) = check_visits([replace(VISIT, answered_by="bob")], grants, {}, {})
    assert early.rule == OWN_TUNNEL
    (never,) = check_visits([replace(VISIT, answered_by="mallory")], grants, {}, {})
    assert never.rule == OWN_TUNNEL


def test_a_port_is_its_own() -> None:
    grant = replace(FIRST, name="tcp-20001", port=20001)
    visit = replace(VISIT, name="port", kind="tcp")
    assert list(check_visits([visit], [grant], {"port": "alice"}, {"port": 20001})) == []
    (found,) = check_visits([visit], [grant], {"port": "alice"}, {"port": 20002})
    assert found.rule == OWN_TUNNEL


def test_a_byte_that_is_not_what_was_sent() -> None:
    (found,) = check_visits([replace(VISIT, outcome=CORRUPT, answered_by=None)], [FIRST], ACCOUNTS, {})
    assert found.rule == WHOLE_BYTES


def test_records_of_the_living_are_right() -> None:
    records = [Record(server=server, name="blog", region="eu") for server in ("us", "eu")]
    assert list(check_zone(records, [FIRST, SECOND])) == []
    assert missing_records(records, [FIRST, SECOND], ("us", "eu")) == []


def test_records_of_the_dead() -> None:
    stale = Record(server="us", name="blog", region="us")
    (wrong,) = check_zone([stale], [FIRST, SECOND])
    assert wrong.rule == DEAD_RECORD
    (orphan,) = check_zone([stale], [FIRST])
    assert orphan.rule == DEAD_RECORD


def test_a_record_that_is_not_there() -> None:
    assert missing_records([Record(server="us", name="blog", region="eu")], [SECOND], ("us", "eu")) == [
        "eu has no blog"
    ]
