"""
The tickets of this edge's tunnels, as it believes them: signed by the core, and not over.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from twisted.logger import Logger

from pinggy.wire.ticket import BadTicket, Ticket, verify

log = Logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTicket:
    """What *text* says, and *since* when it is here, in Unix time."""

    text: str
    ticket: Ticket
    since: float


class TicketCheck:
    """*key* is the core's public one (base64); without it no ticket is believed. *wall* tells Unix time."""

    def __init__(self, key: str, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._key: Ed25519PublicKey | None = None
        try:
            self._key = Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True)) if key else None
        except (binascii.Error, ValueError):
            log.warn("the core's key for tickets is none: no tunnel is resumed while it is away")

    def read(self, text: str) -> HeldTicket | None:
        """None where *text* is no ticket that is good now."""
        if self._key is None or not text:
            return None
        try:
            ticket = verify(text, self._key)
        except BadTicket as error:
            log.warn("a ticket of the core is not believed: {error}", error=str(error))
            return None
        held = HeldTicket(text=text, ticket=ticket, since=self._wall())
        return held if self.is_good(held) else None

    def is_good(self, held: HeldTicket) -> bool:
        return self._wall() <= held.ticket.not_after

    def is_old(self, held: HeldTicket) -> bool:
        """More than half of its time is over: worth a new one."""
        return self._wall() > (held.since + held.ticket.not_after) / 2
