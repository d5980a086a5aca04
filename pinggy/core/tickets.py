"""
Tickets: the answers to edges with the core's signed word, by which tunnels of accounts outlive its absence.

What is signed is what the authority has just answered, so nothing more is asked of the ledger; edges show an old ticket
to get one that is good for longer.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import Deferred

from pinggy.core.authority import Authority
from pinggy.core.ledger import EdgeEntry
from pinggy.wire.messages import Authorize, Authorized, Granted, Register, Registered, Renew, Renewed
from pinggy.wire.ticket import BadTicket, Ticket, digest_of, sign, verify


class Tickets:
    """*seconds* is how long they are good for; none are made without a *key*, nor for 0 seconds."""

    def __init__(
        self,
        authority: Authority,
        key: Ed25519PrivateKey | None,
        seconds: float,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._authority = authority
        self._key = key if seconds > 0 else None
        self._seconds = seconds
        self._wall = wall

    def register(self, edge: EdgeEntry, message: Register) -> Deferred[Registered]:
        """As `Authority.register`; the edge is told what tickets are checked with."""
        public = (
            "" if self._key is None else base64.b64encode(self._key.public_key().public_bytes_raw()).decode("ascii")
        )
        return self._authority.register(edge, message).addCallback(replace, grant_key=public)

    def authorize(self, edge: EdgeEntry, message: Authorize) -> Deferred[Authorized]:
        """As `Authority.authorize`, with a ticket for an account's tunnel."""
        return self._authority.authorize(edge, message).addCallback(self._authorized, message)

    def renew(self, edge: EdgeEntry, message: Renew) -> Deferred[Renewed]:
        """As `Authority.renew`, with new tickets for those shown whose tunnels go on."""
        return self._authority.renew(edge, message).addCallback(self._renewed, message)

    def _authorized(self, answer: Authorized, message: Authorize) -> Authorized:
        granted = {each.forwarding.number: each.forwarding for each in answer.results if isinstance(each, Granted)}
        if self._key is None or answer.identity.account is None or not granted:
            return answer
        credential = digest_of(message.credential)
        for old in self._read((message.ticket,)):
            if (old.tunnel, old.credential) == (message.tunnel, credential):
                granted = {each.number: each for each in old.forwardings} | granted
        ticket = Ticket(
            tunnel=message.tunnel,
            identity=answer.identity,
            credential=credential,
            forwardings=tuple(granted.values()),
            not_after=self._not_after(),
        )
        return replace(answer, ticket=sign(ticket, self._key))

    def _renewed(self, answer: Renewed, message: Renew) -> Renewed:
        if self._key is None or not message.tickets:
            return answer
        go_on = {each.tunnel for each in message.tunnels} - {each.tunnel for each in answer.lost}
        old = [each for each in self._read(message.tickets) if each.tunnel in go_on]
        new = tuple(sign(replace(each, not_after=self._not_after()), self._key) for each in old)
        return replace(answer, tickets=new)

    def _not_after(self) -> int:
        return int(self._wall() + self._seconds)

    def _read(self, texts: Iterable[str]) -> Iterable[Ticket]:
        """Those of *texts* that are ours; also those that are over, for their tunnels are not."""
        assert self._key is not None
        public = self._key.public_key()
        for text in texts:
            try:
                yield verify(text, public)
            except BadTicket:
                continue
