"""
How often visitors may ask and guess.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.edge.throttle import WRONG_TRIES, Throttle, TokenBuckets
from pinggy.tunnel.policy import Rate

# As reactors have it.
NOW = 1_790_000_000.0

rates = st.builds(Rate, st.integers(1, 50), st.sampled_from([1, 60, 3600]))
pauses = st.lists(st.floats(0, 100) | st.just(0.0), min_size=1, max_size=200)


def through(buckets: TokenBuckets, visitor: str, now: float) -> bool:
    if buckets.wait(visitor, now):
        return False
    buckets.take(visitor, now)
    return True


@pytest.mark.parametrize("rate", [Rate(1, 1), Rate(3, 1), Rate(7, 60), Rate(1000, 3600), Rate(1_000_000, 1)])
def test_as_many_at_once_as_the_rate_counts(rate: Rate) -> None:
    buckets = TokenBuckets(rate)
    few = min(rate.count, 1000)
    assert all(through(buckets, "a", NOW) for _ in range(few))
    if few == rate.count:
        assert not through(buckets, "a", NOW)
        assert buckets.wait("a", NOW) == pytest.approx(rate.seconds / rate.count, rel=1e-3)
    assert through(buckets, "b", NOW)


@given(rates, pauses)
def test_in_no_time_more_than_the_bucket_and_what_flows_in(rate: Rate, pauses: list[float]) -> None:
    buckets, now, taken = TokenBuckets(rate), NOW, []
    for pause in pauses:
        now += pause
        if through(buckets, "a", now):
            taken.append(now)
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            most = rate.count + (taken[last] - begin) * rate.count / rate.seconds
            assert last - first + 1 <= most + 0.01


@given(rates, pauses)
def test_who_waits_as_long_as_he_was_told_is_let_through_and_not_before(rate: Rate, pauses: list[float]) -> None:
    buckets, now = TokenBuckets(rate), NOW
    for pause in pauses:
        now += pause
        wait = buckets.wait("a", now)
        if wait > 0.01:
            assert not through(buckets, "a", now + wait * 0.9)
        now += wait
        assert through(buckets, "a", now + 1e-5)
        now += 1e-5


def test_one_visitor_s_requests_are_no_other_s() -> None:
    buckets = TokenBuckets(Rate(1, 1))
    assert through(buckets, "a", NOW)
    assert not through(buckets, "a", NOW)
    assert through(buckets, "b", NOW)


def test_no_more_visitors_are_kept_than_may_be_and_the_latest_are() -> None:
    buckets = TokenBuckets(Rate(1, 3600), most=10)
    for number in range(100):
        assert through(buckets, str(number), NOW + number)
        assert len(buckets) <= 10
    assert not through(buckets, "99", NOW + 99)
    assert not through(buckets, "90", NOW + 99)
    assert through(buckets, "89", NOW + 99)


def test_whose_bucket_is_full_again_is_forgotten() -> None:
    buckets = TokenBuckets(Rate(5, 1))
    for number in range(1000):
        assert through(buckets, str(number), NOW + number)
        assert len(buckets) <= 2
    burst = NOW + 2000
    for number in range(1000):
        assert through(buckets, str(number), burst)
    for number in range(1000):
        assert through(buckets, "x", burst + 2 + number)
    assert len(buckets) == 1


@pytest.mark.parametrize("back", [0.5, 3600.0])
def test_a_clock_that_is_set_back_locks_nobody_out(back: float) -> None:
    buckets = TokenBuckets(Rate(2, 1))
    assert through(buckets, "a", NOW)
    assert through(buckets, "a", NOW)
    assert not through(buckets, "a", NOW - back)
    assert through(buckets, "a", NOW - back + 0.6)


# -- of a tunnel -------------------------------------------------------------------------------------------------------


def test_a_new_rate_is_in_force_at_once() -> None:
    throttle = Throttle()
    assert throttle.request(Rate(1, 3600), "a", NOW) == 0
    assert throttle.request(Rate(1, 3600), "a", NOW) > 3000
    assert throttle.request(Rate(2, 1), "a", NOW) == 0
    assert throttle.request(Rate(2, 1), "a", NOW) == 0
    assert throttle.request(Rate(2, 1), "a", NOW) == pytest.approx(0.5, rel=1e-3)


def test_a_request_that_is_sent_away_costs_nothing() -> None:
    throttle = Throttle()
    assert throttle.request(Rate(1, 1), "a", NOW) == 0
    for tenth in range(1, 10):
        assert throttle.request(Rate(1, 1), "a", NOW + tenth / 10) > 0
    assert throttle.request(Rate(1, 1), "a", NOW + 1) == 0


def test_ten_wrong_tries_and_then_one_now_and_then() -> None:
    throttle = Throttle()
    for _ in range(WRONG_TRIES.count):
        assert throttle.try_of("a", NOW) == 0
        throttle.wrong_try("a", NOW)
    assert throttle.try_of("a", NOW) == pytest.approx(6, rel=1e-3)
    assert throttle.try_of("b", NOW) == 0
    assert throttle.try_of("a", NOW + 6) == 0
    throttle.wrong_try("a", NOW + 6)
    assert throttle.try_of("a", NOW + 6) > 5


def test_right_tries_are_as_many_as_one_likes() -> None:
    throttle = Throttle()
    assert all(throttle.try_of("a", NOW) == 0 for _ in range(1000))
