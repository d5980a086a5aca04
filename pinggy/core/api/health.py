"""
Is the process up, and can it do its work? For supervisors and load balancers; without any key.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.web.server import Request

from pinggy.core.api.resource import JsonResource
from pinggy.core.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    ok: bool = True


class Healthz(JsonResource):
    """The process answers."""

    def __init__(self) -> None:
        super().__init__({b"GET": self._get})

    async def _get(self, request: Request) -> Health:
        return Health()


class Readyz(JsonResource):
    """The database answers; otherwise 503 with the reason."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__({b"GET": self._get})
        self._ledger = ledger

    async def _get(self, request: Request) -> Health:
        await self._ledger.check()
        return Health()
