"""
Edges: who they are, where, and since when they run.
"""

from __future__ import annotations

from collections.abc import Sequence

from pinggy.core.ledger import EdgeEntry, EdgeStart
from pinggy.core.postgres.statements import Statements, iso, iso_or_none
from pinggy.wire import operator


class EdgeStatements(Statements):
    async def edge_by_digest(self, digest: bytes) -> EdgeEntry | None:
        row = await self._row("SELECT name, region, digest, draining FROM edges WHERE digest = %s", digest)
        if row is None:
            return None
        return EdgeEntry(name=row[0], region=row[1], digest=bytes(row[2]), draining=row[3])

    async def register_edge(
        self, edge: str, instance: str, host_keys: Sequence[str], relay_port: int | None = None
    ) -> EdgeStart:
        anew = await self._value(
            "UPDATE edges SET instance = %s, host_keys = %s::text[], relay_port = %s, draining = false, seen = now()"
            " FROM (SELECT name, instance FROM edges WHERE name = %s FOR UPDATE) AS before"
            " WHERE edges.name = before.name RETURNING before.instance IS DISTINCT FROM %s",
            instance,
            list(host_keys),
            relay_port,
            edge,
            instance,
        )
        rows = await self._rows(
            "SELECT id FROM tunnels WHERE edge = %s AND instance IS DISTINCT FROM %s ORDER BY id", edge, instance
        )
        return EdgeStart(anew=bool(anew), left=tuple(tunnel for (tunnel,) in rows))

    async def set_draining(self, edge: str, draining: bool, instance: str | None = None) -> bool:
        whose = "" if instance is None else " AND instance = %s"
        values = () if instance is None else (instance,)
        changed = await self._run(f"UPDATE edges SET draining = %s WHERE name = %s{whose}", draining, edge, *values)  # noqa: S608
        return changed == 1

    async def regions(self) -> frozenset[str]:
        return frozenset(region for (region,) in await self._rows("SELECT DISTINCT region FROM edges"))

    async def edges(self) -> tuple[operator.Edge, ...]:
        rows = await self._rows(
            "SELECT name, region, addresses, created, seen, draining, latitude, longitude, aws_region,"
            " (SELECT count(*) FROM tunnels WHERE edge = edges.name) FROM edges ORDER BY name"
        )
        return tuple(
            operator.Edge(
                name=name,
                region=region,
                addresses=tuple(addresses),
                created=iso(created),
                seen=iso_or_none(seen),
                draining=draining,
                tunnels=tunnels,
                latitude=latitude,
                longitude=longitude,
                aws_region=aws_region,
            )
            for name, region, addresses, created, seen, draining, latitude, longitude, aws_region, tunnels in rows
        )

    async def add_edge(self, edge: operator.AddEdge, digest: bytes) -> bool:
        return (
            await self._run(
                "INSERT INTO edges (name, region, addresses, digest, latitude, longitude, aws_region)"
                " VALUES (%s, %s, %s::text[], %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                edge.name,
                edge.region,
                list(edge.addresses),
                digest,
                edge.latitude,
                edge.longitude,
                edge.aws_region,
            )
            == 1
        )

    async def change_edge(self, edge: operator.AddEdge, digest: bytes) -> None:
        await self._run(
            "UPDATE edges SET region = %s, addresses = %s::text[], digest = %s,"
            " latitude = %s, longitude = %s, aws_region = %s WHERE name = %s",
            edge.region,
            list(edge.addresses),
            digest,
            edge.latitude,
            edge.longitude,
            edge.aws_region,
            edge.name,
        )

    async def place_edge(self, edge: operator.PlaceEdge) -> bool:
        return (
            await self._run(
                "UPDATE edges SET latitude = %s, longitude = %s, aws_region = %s WHERE name = %s",
                edge.latitude,
                edge.longitude,
                edge.aws_region,
                edge.name,
            )
            == 1
        )

    async def host_keys(self, within: float) -> dict[str, tuple[str, ...]]:
        rows = await self._rows(
            "SELECT name, host_keys FROM edges"
            " WHERE host_keys <> '{}' AND seen > now() - make_interval(secs => %s) ORDER BY name",
            within,
        )
        return {name: tuple(sorted(keys)) for name, keys in rows}

    async def remove_edge(self, name: str) -> bool:
        return await self._run("DELETE FROM edges WHERE name = %s", name) == 1
