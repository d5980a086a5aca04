"""
A core that allows everything at once, and a zone that knows everything: what is left is the edge's own work.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, cycle
from typing import Any
from uuid import uuid4

from twisted.internet.defer import Deferred, succeed

from pinggy.tunnel.grant import ANONYMOUS, Forwarding, Identity, Limits
from pinggy.wire.messages import Authorize, Authorized, Done, Granted, Register, Registered, Renew, Renewed

LIMITS = Limits(forwardings=20, channels=10_000)


class QuickCore:
    """Implements `CoreClient`; *ports* are given out in turn."""

    def __init__(self, ports: range) -> None:
        self._ports: Iterator[int] = cycle(ports)
        self._epochs = count(1)

    def register(self, message: Register) -> Deferred[Registered]:
        return succeed(Registered(edge="local", region="local", domain="a.example", lease=60.0))

    def identify(self, credential: object) -> Deferred[Identity]:
        return succeed(ANONYMOUS)

    def authorize(self, message: Authorize) -> Deferred[Authorized]:
        results = tuple(
            Granted(
                forwarding=Forwarding(
                    number=want.number,
                    kind=want.kind,
                    name=uuid4().hex[:12],
                    epoch=next(self._epochs),
                    port=next(self._ports),
                )
            )
            for want in message.wants
        )
        return succeed(Authorized(identity=ANONYMOUS, limits=LIMITS, results=results))

    def renew(self, message: Renew) -> Deferred[Renewed]:
        return succeed(Renewed())

    def orders(self, message: object) -> Deferred[Any]:
        return Deferred()

    def _done(self, message: object) -> Deferred[Any]:
        return succeed(Done())

    live = release = draining = where = certify = examined = report = probed = _done


class QuickZone:
    """Implements `Zone` and `Probe`."""

    def _done(self, records: object) -> Deferred[None]:
        return succeed(None)

    publish = withdraw = confirm = _done
