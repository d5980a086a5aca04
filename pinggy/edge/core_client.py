"""
How an edge speaks to the core: one method a message.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from pinggy.tunnel.grant import Identity
from pinggy.wire.messages import (
    Authorize,
    Authorized,
    Credential,
    Done,
    Draining,
    Live,
    Register,
    Registered,
    Release,
    Renew,
    Renewed,
    Report,
)
from pinggy.wire.orders import AskOrders, Examined, Orders, Probed
from pinggy.wire.places import Certified, Certify, Place, Where


class CoreClient(Protocol):
    """
    Each Deferred fails with a `Refusal` and nothing else: the core's own, or `CoreAway` where it does not answer.
    """

    def register(self, message: Register) -> Deferred[Registered]: ...

    def identify(self, credential: Credential) -> Deferred[Identity]: ...

    def authorize(self, message: Authorize) -> Deferred[Authorized]: ...

    def live(self, message: Live) -> Deferred[Done]: ...

    def renew(self, message: Renew) -> Deferred[Renewed]: ...

    def release(self, message: Release) -> Deferred[Done]: ...

    def draining(self, message: Draining) -> Deferred[Done]: ...

    def where(self, message: Where) -> Deferred[Place]:
        """Fires after some 2 s at the latest, where the core answers at all."""
        ...

    def certify(self, message: Certify) -> Deferred[Certified]: ...

    def examined(self, message: Examined) -> Deferred[Done]: ...

    def report(self, message: Report) -> Deferred[Done]: ...

    def probed(self, message: Probed) -> Deferred[Done]: ...

    def orders(self, message: AskOrders) -> Deferred[Orders]:
        """Fires after some 20 s at the latest; cancel it where nobody waits for it any more."""
        ...
