"""
What edges have, for their reports to be compared with, and what those said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pinggy.core.postgres.statements import Statements
from pinggy.core.report_book import MOST_NOTED, Fate, HeldName, Reported
from pinggy.tunnel.refusal_codes import from_wire


class ReportStatements(Statements):
    async def held_at(self, edge: str, instance: str, after: str, upto: str | None) -> tuple[HeldName, ...] | None:
        if await self._value("SELECT instance FROM edges WHERE name = %s", edge) != instance:
            return None
        rows = await self._rows(
            "SELECT tunnel, number, name, epoch, live, extract(epoch FROM now() - forwardings.started)::float8"
            " FROM forwardings JOIN tunnels ON tunnels.id = tunnel"
            ' WHERE edge = %s AND name COLLATE "C" > %s AND (%s::text IS NULL OR name COLLATE "C" <= %s)',
            edge,
            after,
            upto,
            upto,
        )
        return tuple(
            HeldName(tunnel=tunnel, number=number, name=name, epoch=epoch, live=live, age=age)
            for tunnel, number, name, epoch, live, age in rows
        )

    async def fates(self, edge: str, tunnels: Collection[str]) -> dict[str, Fate | None]:
        rows = await self._rows(
            "SELECT asked.id, code, text, CASE WHEN EXISTS (SELECT 1 FROM handovers WHERE tunnel = asked.id) THEN 0"
            " ELSE extract(epoch FROM now() - ended) END::float8"
            " FROM unnest(%s::text[]) AS asked (id)"
            " LEFT JOIN ended_tunnels ON ended_tunnels.id = asked.id AND ended_tunnels.edge = %s"
            " WHERE NOT EXISTS (SELECT 1 FROM tunnels WHERE tunnels.id = asked.id AND tunnels.edge = %s)",
            sorted(tunnels),
            edge,
            edge,
        )
        return {
            tunnel: None if code is None else Fate(reason=from_wire(code, text), ago=ago)
            for tunnel, code, text, ago in rows
        }

    async def note_report(self, edge: str, held: int, differences: Sequence[str], more: bool) -> None:
        self._later(
            """
            INSERT INTO reports AS standing (edge, held, differences) VALUES (%s, %s, %s::text[])
            ON CONFLICT (edge) DO UPDATE SET at = now(),
                held = excluded.held + CASE WHEN %s THEN standing.held ELSE 0 END,
                differences =
                    (CASE WHEN %s THEN standing.differences ELSE '{}' END || excluded.differences)[1:%s]
            """,
            edge,
            held,
            list(differences[:MOST_NOTED]),
            more,
            more,
            MOST_NOTED,
        )

    async def reported(self) -> tuple[Reported, ...]:
        rows = await self._rows(
            "SELECT edge, extract(epoch FROM now() - at)::float8, held, differences FROM reports ORDER BY edge"
        )
        return tuple(
            Reported(edge=edge, age=age, held=held, differences=tuple(differences))
            for edge, age, held, differences in rows
        )
