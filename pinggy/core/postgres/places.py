"""
Where names live.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pinggy.core.place_book import Moved, Whereabouts
from pinggy.core.postgres.statements import Statements
from pinggy.tunnel.request import Kind
from pinggy.wire.places import Place

_PLACE = "forwardings.name, kind, epoch, edges.name, edges.addresses[1], edges.relay_port, port"
_LIVES = "forwardings JOIN tunnels ON tunnels.id = tunnel JOIN edges ON edges.name = tunnels.edge"


class PlaceStatements(Statements):
    async def whereabouts(self, name: str) -> Whereabouts:
        row = await self._row(
            f"""
            SELECT live, {_PLACE}, code, since, left_epoch
            FROM (SELECT) AS one
            LEFT JOIN ({_LIVES}) ON forwardings.name = %s
            LEFT JOIN (
                SELECT code, extract(epoch FROM now() - ended_forwardings.ended)::float8 AS since, epoch AS left_epoch
                FROM ended_forwardings LEFT JOIN ended_tunnels ON ended_tunnels.id = tunnel
                WHERE ended_forwardings.name = %s ORDER BY epoch DESC LIMIT 1
            ) AS last ON true
            """,  # noqa: S608
            name,
            name,
        )
        assert row is not None
        live, place, (code, since, left_epoch) = row[0], row[1:8], row[8:]
        return Whereabouts(
            epoch=place[2] or 0,
            live=bool(live),
            place=_place(place) if place[5] is not None else None,
            left=code,
            left_since=since or 0.0,
            left_epoch=left_epoch or 0,
        )

    async def moved(self, tunnel: str, numbers: Collection[int]) -> tuple[Moved, ...]:
        rows = await self._rows(
            f"""
            SELECT {_PLACE},
                array(
                    SELECT DISTINCT other.name FROM ended_forwardings AS past
                    JOIN ended_tunnels ON ended_tunnels.id = past.tunnel JOIN edges AS other ON other.name = edge
                    WHERE past.name = forwardings.name AND past.ended > now() - interval '1 minute'
                        AND other.relay_port IS NOT NULL AND other.name <> edges.name
                        AND (port IS NULL OR other.region <> edges.region)
                ),
                array(
                    SELECT other.name FROM edges AS other
                    WHERE port IS NOT NULL AND other.region = edges.region AND other.name <> edges.name
                        AND other.relay_port IS NOT NULL
                )
            FROM {_LIVES}
            WHERE tunnel = %s AND number = ANY(%s::bigint[]) AND edges.relay_port IS NOT NULL
            ORDER BY number
            """,  # noqa: S608
            tunnel,
            list(numbers),
        )
        return tuple(
            Moved(place=_place(row[:7]), left=tuple(sorted(row[7])), neighbours=tuple(sorted(row[8]))) for row in rows
        )

    async def neighbours(self, edge: str) -> tuple[str, ...]:
        rows = await self._rows(
            "SELECT other.name FROM edges JOIN edges AS other ON other.region = edges.region"
            " WHERE edges.name = %s AND other.name <> edges.name AND other.relay_port IS NOT NULL ORDER BY other.name",
            edge,
        )
        return tuple(name for (name,) in rows)

    async def ports_near(self, edge: str) -> tuple[Place, ...]:
        rows = await self._rows(
            f"""
            SELECT {_PLACE} FROM {_LIVES}
            WHERE port IS NOT NULL AND live AND edges.relay_port IS NOT NULL AND edges.name <> %s
                AND edges.region = (SELECT region FROM edges AS mine WHERE mine.name = %s)
            ORDER BY port
            """,  # noqa: S608
            edge,
            edge,
        )
        return tuple(_place(row) for row in rows)


def _place(row: tuple[Any, ...]) -> Place:
    name, kind, epoch, edge, host, port, public_port = row
    return Place(name=name, kind=Kind(kind), epoch=epoch, edge=edge, host=host, port=port, public_port=public_port)
