"""The wire: each frame comes once, in order and in its time, or is lost where a link is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.system.regions import latency
from tests.system.regions.latency import Wire

NUMBERS = {"us": 2, "eu": 3, "ap": 4}
DELAYS = {frozenset(("us", "eu")): 0.040, frozenset(("us", "ap")): 0.060}


def frame(receiver: str, payload: bytes = b"") -> bytes:
    return bytes([2, 0, 0, 0, 0, NUMBERS[receiver]]) + payload


def test_a_frame_takes_its_time() -> None:
    wire = Wire(NUMBERS, DELAYS)
    wire.take("us", frame("eu"), 1.0)
    assert wire.next_arrival() == 1.040
    assert list(wire.arrived(1.039)) == []
    assert list(wire.arrived(1.040)) == [("eu", frame("eu"))]
    assert wire.next_arrival() is None


def test_a_group_address_is_everybody_else() -> None:
    wire = Wire(NUMBERS, {})
    wire.take("eu", b"\xff" * 6, 1.0)
    assert sorted(receiver for receiver, _ in wire.arrived(1.0)) == ["ap", "us"]


def test_who_is_not_there_gets_nothing() -> None:
    wire = Wire(NUMBERS, {})
    wire.take("us", bytes([2, 0, 0, 0, 0, 9]), 1.0)
    assert list(wire.arrived(9.0)) == []


def test_a_cut_loses_one_direction_and_what_is_under_way_there() -> None:
    wire = Wire(NUMBERS, DELAYS)
    wire.take("us", frame("eu", b"under way"), 1.0)
    wire.cut("us", "eu")
    wire.take("us", frame("eu", b"lost"), 1.0)
    wire.take("eu", frame("us", b"comes"), 1.0)
    assert list(wire.arrived(2.0)) == [("us", frame("us", b"comes"))]
    wire.heal("us", "eu")
    wire.take("us", frame("eu", b"again"), 3.0)
    assert list(wire.arrived(4.0)) == [("eu", frame("eu", b"again"))]
    assert wire.lost == 2


def test_what_does_not_fit_is_lost() -> None:
    wire = Wire(NUMBERS, DELAYS)
    sent = latency.LONGEST_QUEUE // 1000 + 5
    for _ in range(sent):
        wire.take("us", frame("eu", bytes(994)), 1.0)
    came = len(list(wire.arrived(2.0)))
    assert came == latency.LONGEST_QUEUE // 1000
    assert wire.lost == sent - came
    wire.take("us", frame("eu"), 2.0)
    assert len(list(wire.arrived(3.0))) == 1


@given(st.lists(st.tuples(st.sampled_from(["eu", "ap"]), st.floats(0, 0.1)), max_size=30), st.floats(0.001, 0.1))
def test_order_is_kept_and_nothing_comes_twice(sent: list[tuple[str, float]], step: float) -> None:
    wire = Wire(NUMBERS, DELAYS)
    now = 0.0
    came: list[tuple[str, bytes]] = []
    for number, (receiver, pause) in enumerate(sent):
        now += pause
        came += wire.arrived(now)
        wire.take("us", frame(receiver, bytes([number])), now)
    while wire.next_arrival() is not None:
        now += step
        came += wire.arrived(now)
    for receiver in ("eu", "ap"):
        wanted = [number for number, (each, _) in enumerate(sent) if each == receiver]
        assert [content[6] for each, content in came if each == receiver] == wanted
