"""Windows that grow with what their owner drains, shrink again, and never have more than the budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pinggy.edge.ssh.window import MOST, START, ReceiveWindow, WindowBudget


def drain(window: ReceiveWindow, windows: int, seconds: float, now: float = 0.0) -> float:
    """Drain so many whole windows, each within *seconds*, in quarters; the time after it."""
    for _ in range(windows):
        size = window.size
        for _ in range(4):
            now += seconds / 4
            window.credit(size // 4, now)
    return now


def test_a_window_grows_to_the_most_while_it_is_drained_quickly_and_shrinks_to_its_start_when_it_is_not() -> None:
    budget = WindowBudget(MOST)
    window = ReceiveWindow(START, budget, 0.0)
    now = drain(window, 10, 0.1)
    assert window.size == MOST
    assert budget.taken == MOST - START
    now = drain(window, 10, 3.0, now)
    assert window.size == START
    assert budget.taken == 0


def test_a_window_that_is_drained_at_its_own_pace_stays() -> None:
    window = ReceiveWindow(START, WindowBudget(MOST), 0.0)
    drain(window, 10, 1.0)
    assert window.size == START


def test_without_budget_a_window_stays_small() -> None:
    window = ReceiveWindow(START, WindowBudget(1000), 0.0)
    drain(window, 10, 0.1)
    assert window.size == START + 1000


def test_a_budget_is_part_of_another() -> None:
    edge = WindowBudget(100)
    one, other = WindowBudget(80, edge), WindowBudget(80, edge)
    assert one.take(90) == 80
    assert other.take(90) == 20
    one.give(80)
    assert other.take(90) == 60
    assert edge.taken == 80


@given(
    st.lists(st.tuples(st.integers(1, 300_000), st.floats(0, 5)), max_size=60),
    st.integers(0, MOST),
)
def test_the_promise_never_exceeds_what_the_budget_knows_of(steps: list[tuple[int, float]], most: int) -> None:
    budget = WindowBudget(most)
    window = ReceiveWindow(START, budget, 0.0)
    left, undrained, now = START, 0, 0.0
    for wanted, seconds in steps:
        sent = min(wanted, left)
        left -= sent
        undrained += sent
        now += seconds
        if window.is_due(undrained):
            credit = window.credit(undrained, now)
            assert credit >= 0
            left += credit
            undrained = 0
        assert left + undrained <= START + budget.taken
        assert 0 <= budget.taken <= most
    window.close()
    assert budget.taken == 0
