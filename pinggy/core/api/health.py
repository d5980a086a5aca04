"""
Is the process up, and can it do its work? For supervisors and load balancers; without any key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twisted.web.server import Request

from pinggy.core.api.resource import JsonResource
from pinggy.core.ledger import Ledger
from pinggy.tunnel.refusals import Refusal

# Seconds: an edge that was switched off long ago shows nobody anything.
_HEARD_WITHIN = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    ok: bool = True


class HostKeysDiffer(Refusal):
    code = "host-keys-differ"
    status = 503

    @classmethod
    def of(cls, presented: Mapping[str, Sequence[str]]) -> HostKeysDiffer:
        edges: dict[tuple[str, ...], list[str]] = {}
        for edge, fingerprints in presented.items():
            edges.setdefault(tuple(fingerprints), []).append(edge)
        said = "; ".join(f"{', '.join(names)}: {' '.join(keys)}" for keys, names in edges.items())
        return cls(f"Edges show clients different host keys, give all the same files ({said}).")


class Healthz(JsonResource):
    """The process answers."""

    def __init__(self) -> None:
        super().__init__({b"GET": self._get})

    async def _get(self, request: Request) -> Health:
        return Health()


class Readyz(JsonResource):
    """The database answers, and all edges show the same host keys; otherwise 503 with the reason."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__({b"GET": self._get})
        self._ledger = ledger

    async def _get(self, request: Request) -> Health:
        presented = await self._ledger.transact(lambda ledger: ledger.host_keys(_HEARD_WITHIN))
        if len(set(presented.values())) > 1:
            raise HostKeysDiffer.of(presented)
        return Health()
