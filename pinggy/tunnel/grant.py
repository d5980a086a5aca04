"""
What the core allowed: a grant, its forwardings with their epochs, its limits.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinggy.tunnel.request import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one tunnel may use: counts, for its whole life."""

    forwardings: int
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """
    One public name (and port, for tcp) that a tunnel owns.

    *number* counts the forwardings of a tunnel from 1, in the order asked. *name* is the label under the zone.
    *epoch* fences: the ledger gives each later grant of this name a higher one.
    """

    number: int
    kind: Kind
    name: str
    epoch: int
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """
    Whose tunnel it is. *account* is None for an anonymous one; *label* is the token's public prefix or the key's
    fingerprint: fit to be shown and logged.
    """

    account: str | None = None
    label: str = ""


ANONYMOUS = Identity()
