"""
The life of a tunnel's policy, as a state machine: when may the first visitor byte be relayed, and with which policy?

ssh-interface: policy is in force before the first visitor byte. OpenSSH opens its session without awaiting the reply
to the forwarding, so once a session channel opens, visitors wait until its exec or shell has been read (30 s without
one ends the tunnel); only where no session has opened 2 s after the forwarding do the defaults apply.

Each input returns nothing; read `state`, and call `tick` not before `deadline`. Times are seconds of one clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from pinggy.tunnel.endings import NoCommand
from pinggy.tunnel.policy import Policy
from pinggy.tunnel.refusals import Refusal

SESSION_WAIT = 2.0
COMMAND_WAIT = 30.0


class State(Enum):
    OPENING = auto()  # nothing is forwarded yet
    AWAITING_SESSION = auto()  # a forwarding stands, no session channel has opened
    AWAITING_COMMAND = auto()  # a session has opened, its exec or shell has not been read
    IN_FORCE = auto()  # visitors may come
    ENDED = auto()


@dataclass(slots=True)
class Life:
    """One tunnel's. *policy* and *end* are set in the states `IN_FORCE` and `ENDED`."""

    state: State = State.OPENING
    deadline: float | None = None
    policy: Policy = field(default_factory=Policy)
    end: Refusal | None = None

    def forwarded(self, now: float) -> None:
        """The first forwarding was asked for (later ones change nothing)."""
        if self.state is State.OPENING:
            self._await(State.AWAITING_SESSION, now + SESSION_WAIT)

    def session_opened(self, now: float) -> None:
        if self.state in (State.OPENING, State.AWAITING_SESSION):
            self._await(State.AWAITING_COMMAND, now + COMMAND_WAIT)

    def command_read(self, policy: Policy) -> None:
        """
        The exec or shell request of a session was understood as *policy*. The first one counts: a second session
        of the same connection, or one opened after the defaults applied, may not weaken what is in force.
        """
        if self.state in (State.OPENING, State.AWAITING_SESSION, State.AWAITING_COMMAND):
            self.policy = policy
            self._await(State.IN_FORCE, None)

    def replaced(self, policy: Policy) -> None:
        """The policy was edited while live."""
        if self.state is State.IN_FORCE:
            self.policy = policy

    def ended(self, reason: Refusal) -> None:
        """The first reason counts."""
        if self.state is not State.ENDED:
            self.end = reason
            self._await(State.ENDED, None)

    def tick(self, now: float) -> None:
        if self.deadline is None or now < self.deadline:
            return
        if self.state is State.AWAITING_SESSION:
            self._await(State.IN_FORCE, None)
        elif self.state is State.AWAITING_COMMAND:
            self.ended(NoCommand.of(COMMAND_WAIT))

    def _await(self, state: State, deadline: float | None) -> None:
        self.state = state
        self.deadline = deadline
