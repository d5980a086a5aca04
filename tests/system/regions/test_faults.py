"""A seed gives a schedule, and what is broken becomes whole again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.system.regions.faults import Breakable, Cut, make_schedule, what_is_broken

EVERYTHING = Breakable(
    programs=("edge-us", "core-1", "gate-eu"),
    links=(("us", "eu"), ("hub", "us")),
    accounts=("owner0", "owner1"),
    edges=("us", "eu", "ap"),
)
SEEDS = st.integers(0, 2**32)


@given(SEEDS)
def test_a_seed_is_a_schedule(seed: int) -> None:
    assert make_schedule(seed, 60.0, EVERYTHING) == make_schedule(seed, 60.0, EVERYTHING)


def test_other_seeds_are_other_schedules() -> None:
    assert len({make_schedule(seed, 60.0, EVERYTHING) for seed in range(20)}) == 20


@given(SEEDS, st.floats(5.0, 300.0))
def test_all_is_over_in_time_and_in_order(seed: int, seconds: float) -> None:
    faults = make_schedule(seed, seconds, EVERYTHING)
    assert all(fault.at + fault.seconds <= seconds for fault in faults)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)


@given(SEEDS)
def test_nothing_is_broken_twice_at_once(seed: int) -> None:
    whole: dict[object, float] = {}
    for fault in make_schedule(seed, 300.0, EVERYTHING):
        assert whole.get(what_is_broken(fault), 0.0) <= fault.at
        whole[what_is_broken(fault)] = fault.at + fault.seconds


@given(SEEDS)
def test_where_no_link_can_be_cut_none_is(seed: int) -> None:
    unlinked = Breakable(programs=("edge-us",), links=(), accounts=("owner0",), edges=("us",))
    assert not any(isinstance(fault, Cut) for fault in make_schedule(seed, 300.0, unlinked))


def test_every_kind_comes() -> None:
    faults = make_schedule(1, 600.0, EVERYTHING)
    assert len({type(fault) for fault in faults}) == 6
    assert {fault.both for fault in faults if isinstance(fault, Cut)} == {True, False}
