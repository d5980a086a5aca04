from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pinggy.dns.fence import Fence


def test_a_lower_epoch_than_the_one_that_stands_changes_nothing() -> None:
    fence = Fence()
    assert fence.admit("x", 2)
    assert not fence.admit("x", 1)
    assert not fence.release("x", 1)
    assert fence.admit("x", 2)
    assert fence.release("x", 2)
    assert not fence.release("x", 2)


def test_a_late_write_after_the_newer_owner_has_left() -> None:
    fence = Fence()
    fence.admit("x", 2)
    fence.release("x", 2)
    assert not fence.admit("x", 1)
    assert not fence.admit("x", 2)
    assert fence.admit("x", 3)


def test_a_withdrawal_that_overtook_its_own_write() -> None:
    fence = Fence()
    assert not fence.release("x", 4)
    assert not fence.admit("x", 4)
    assert fence.admit("x", 5)


def test_memory_is_bounded() -> None:
    fence = Fence(most_remembered=2)
    for name in ("x", "y", "z"):
        fence.admit(name, 5)
        fence.release(name, 5)
    assert fence.admit("x", 1)
    assert not fence.admit("y", 1)
    assert not fence.admit("z", 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5))))
def test_epochs_of_admitted_writes_never_fall(moves: list[tuple[bool, int]]) -> None:
    fence = Fence()
    highest = 0
    for is_write, epoch in moves:
        if is_write and fence.admit("x", epoch):
            assert epoch >= highest
            highest = epoch
        elif not is_write and fence.release("x", epoch):
            assert epoch == highest
