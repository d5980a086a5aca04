from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pinggy.tunnel.endings import ClientLeft, Expired, NoCommand
from pinggy.tunnel.life import COMMAND_WAIT, SESSION_WAIT, Life, State
from pinggy.tunnel.policy import Policy

STRICT = Policy(https_only=True)


def state(life: Life) -> State:
    """Read anew: mypy takes a state for settled once it has been asserted."""
    return life.state


def test_without_a_session_the_defaults_apply_two_seconds_after_the_forwarding() -> None:
    life = Life()
    life.forwarded(10.0)
    assert state(life) is State.AWAITING_SESSION
    life.tick(10.0 + SESSION_WAIT - 0.01)
    assert state(life) is State.AWAITING_SESSION
    life.tick(10.0 + SESSION_WAIT)
    assert state(life) is State.IN_FORCE
    assert life.policy == Policy()


def test_once_a_session_has_opened_its_command_is_awaited() -> None:
    life = Life()
    life.forwarded(0.0)
    life.session_opened(1.0)
    life.tick(1.0 + SESSION_WAIT)
    assert state(life) is State.AWAITING_COMMAND
    life.command_read(STRICT)
    assert state(life) is State.IN_FORCE
    assert life.policy == STRICT


def test_a_session_that_asks_for_nothing_ends_the_tunnel() -> None:
    life = Life()
    life.session_opened(0.0)
    life.tick(COMMAND_WAIT)
    assert state(life) is State.ENDED
    assert isinstance(life.end, NoCommand)


def test_a_forwarding_after_the_session_does_not_shorten_the_wait() -> None:
    life = Life()
    life.session_opened(0.0)
    life.forwarded(1.0)
    life.tick(1.0 + SESSION_WAIT)
    assert state(life) is State.AWAITING_COMMAND


def test_a_second_command_changes_nothing() -> None:
    life = Life()
    life.forwarded(0.0)
    life.command_read(STRICT)
    life.session_opened(1.0)
    life.command_read(Policy())
    assert life.policy == STRICT
    assert state(life) is State.IN_FORCE


def test_the_first_reason_of_the_end_counts() -> None:
    life = Life()
    life.ended(Expired.of())
    life.ended(ClientLeft.of())
    assert isinstance(life.end, Expired)


def test_a_live_policy_can_be_replaced() -> None:
    life = Life()
    life.replaced(STRICT)
    assert life.policy == Policy()
    life.command_read(Policy())
    life.replaced(STRICT)
    assert life.policy == STRICT


@given(st.lists(st.sampled_from(["forwarded", "session", "command", "tick", "end"]), max_size=30))
def test_policy_is_never_in_force_while_a_session_awaits_its_command(inputs: list[str]) -> None:
    life, now, asked = Life(), 0.0, False
    for each in inputs:
        now += 1.0
        before = life.state
        match each:
            case "forwarded":
                life.forwarded(now)
            case "session":
                life.session_opened(now)
                asked = True
            case "command":
                life.command_read(STRICT)
            case "tick":
                life.tick(now)
            case "end":
                life.ended(Expired.of())
        if before is State.ENDED:
            assert state(life) is State.ENDED
        if life.state is State.IN_FORCE and before is State.AWAITING_COMMAND:
            assert each == "command"
        assert (life.deadline is not None) == (life.state in (State.AWAITING_SESSION, State.AWAITING_COMMAND))
        assert (life.end is not None) == (life.state is State.ENDED)
    assert asked or life.state is not State.AWAITING_COMMAND
