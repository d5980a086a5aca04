"""What an edge holds against what the ledger says: any two sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pinggy.core.holdings import OPENING, compare, key_of
from pinggy.core.report_book import HeldName
from pinggy.wire.messages import Holding

_keys = st.tuples(st.sampled_from(["t1", "t2", "t3"]), st.sampled_from(["blog", "shop"]), st.integers(1, 4))
_reported = st.lists(_keys, unique=True, max_size=8).map(
    lambda keys: [Holding(tunnel=tunnel, name=name, epoch=epoch) for tunnel, name, epoch in keys]
)
_standing = st.tuples(st.booleans(), st.sampled_from([0.0, OPENING - 1, OPENING]))


@st.composite
def _ledgers(draw: st.DrawFn) -> list[HeldName]:
    """A name has one owner."""
    keys = draw(st.lists(_keys, unique_by=lambda key: key[1], max_size=2))
    return [
        HeldName(tunnel=tunnel, number=1, name=name, epoch=epoch, live=live, age=age)
        for (tunnel, name, epoch), (live, age) in ((key, draw(_standing)) for key in keys)
    ]


@given(_reported, _ledgers())
def test_each_is_the_same_or_a_difference_or_on_its_way(reported: list[Holding], ledger: list[HeldName]) -> None:
    found = compare(reported, ledger)
    held, known = {key_of(each) for each in reported}, {key_of(each) for each in ledger}
    strange, missed = {key_of(each) for each in found.strange}, {key_of(each) for each in found.missed}
    assert strange <= held - known
    assert missed <= known - held
    for each in ledger:
        settled = each.live and each.age >= OPENING
        assert (key_of(each) in missed) == (settled and key_of(each) not in held)
    for tunnel, name, epoch in (held - known) - strange:
        # About to be replaced by its own tunnel.
        assert any(
            (each.tunnel, each.name) == (tunnel, name) and each.epoch > epoch and not each.live for each in ledger
        )


@given(_ledgers())
def test_who_holds_what_the_ledger_says_differs_in_nothing(ledger: list[HeldName]) -> None:
    reported = [Holding(tunnel=each.tunnel, name=each.name, epoch=each.epoch) for each in ledger]
    found = compare(reported, ledger)
    assert (found.strange, found.missed) == ((), ())
