"""
Old tunnels that are to be closed when their successors are live.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pinggy.core.handovers import Handover
from pinggy.core.postgres.statements import Statements
from pinggy.tunnel.refusal_codes import from_wire


class HandoverStatements(Statements):
    async def hand_over(self, old: Handover, successor: str) -> None:
        self._later(
            """
            UPDATE handovers SET successor = %s WHERE successor = %s;
            INSERT INTO handovers (tunnel, edge, successor, code, text) VALUES (%s, %s, %s, %s, %s)
                ON CONFLICT DO NOTHING
            """,
            successor,
            old.tunnel,
            old.tunnel,
            old.edge,
            successor,
            old.reason.code,
            old.reason.text,
        )

    async def handovers(self, successor: str) -> tuple[Handover, ...]:
        return _read(await self._rows("SELECT tunnel, edge, code, text FROM handovers WHERE successor = %s", successor))

    async def is_handed_over(self, tunnel: str, edge: str) -> bool:
        found = await self._value("SELECT true FROM handovers WHERE tunnel = %s AND edge = %s", tunnel, edge)
        return found is not None

    async def finish_handovers(self, successors: Collection[str]) -> tuple[Handover, ...]:
        return _read(
            await self._rows(
                "DELETE FROM handovers WHERE successor = ANY(%s) RETURNING tunnel, edge, code, text", list(successors)
            )
        )

    async def finish_left_handovers(self) -> tuple[Handover, ...]:
        return _read(
            await self._rows(
                "DELETE FROM handovers WHERE NOT EXISTS (SELECT 1 FROM tunnels WHERE id = successor)"
                " RETURNING tunnel, edge, code, text"
            )
        )

    async def drop_handovers(self, edge: str, tunnel: str | None = None) -> None:
        self._later("DELETE FROM handovers WHERE edge = %s AND (%s::text IS NULL OR tunnel = %s)", edge, tunnel, tunnel)


def _read(rows: Iterable[tuple[str, str, str, str]]) -> tuple[Handover, ...]:
    return tuple(
        Handover(tunnel=tunnel, edge=edge, reason=from_wire(code, text)) for tunnel, edge, code, text in sorted(rows)
    )
