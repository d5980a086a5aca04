"""
How many tunnels an address or an account may have: whether there is room for one more.
"""

from __future__ import annotations

from twisted.python.failure import Failure

from pinggy.core.config import LimitSettings
from pinggy.core.ledger import Crowd
from pinggy.core.takeover import Outcome
from pinggy.tunnel.refusals import LimitReached


class NoRoom(Exception):
    """The account has all its tunnels, and takes the place of none: all is undone, and *outcome* says so."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def pace_is_kept(limits: LimitSettings, crowd: Crowd, *, anonymous: bool) -> LimitReached | None:
    """Why not, if so, also of an account that starts too many; it is known before anything is claimed."""
    if anonymous and crowd.new >= limits.new_tunnels_per_minute_per_address:
        return LimitReached("Too many tunnels were started from your address within a minute: wait a little.")
    # When an edge dies, all that an account has comes back at once, from one address perhaps with others of a team.
    if not anonymous and crowd.new >= limits.new_tunnels_per_minute_per_address + limits.tunnels_per_account:
        return LimitReached("Too many tunnels were started by your account within a minute: wait a little.")
    if anonymous and crowd.anonymous_of_subnet >= limits.anonymous_tunnels_per_address:
        return LimitReached(
            f"Your address has {crowd.anonymous_of_subnet} anonymous tunnels already: close one, or use a token."
        )
    return None


def account_has_room(limits: LimitSettings, crowd: Crowd, ended: int) -> LimitReached | None:
    """Why not, if so, for a new tunnel by which so many of the account's own have *ended*."""
    if crowd.of_account - ended < limits.tunnels_per_account:
        return None
    return LimitReached(f"Your account has {crowd.of_account} tunnels already: close one first.")


def outcome_of(failure: Failure) -> Outcome:
    """Of a transaction that ended with `NoRoom`."""
    failure.trap(NoRoom)
    assert isinstance(failure.value, NoRoom)
    return failure.value.outcome
