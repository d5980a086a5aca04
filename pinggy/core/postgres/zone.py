"""
What should stand in the zone.
"""

from __future__ import annotations

from collections.abc import Collection

from pinggy.core.postgres.statements import Statements
from pinggy.core.zone_book import Entry, OwnedName, Region


class ZoneStatements(Statements):
    async def owned_names(self, labels: Collection[str] | None) -> tuple[OwnedName, ...]:
        which = None if labels is None else list(labels)
        rows = await self._rows(
            "SELECT forwardings.name, region, epoch, tunnel, extract(epoch FROM now() - forwardings.started)::float8"
            " FROM forwardings JOIN tunnels ON tunnels.id = tunnel JOIN edges ON edges.name = tunnels.edge"
            " WHERE %s::text[] IS NULL OR forwardings.name = ANY(%s)",
            which,
            which,
        )
        return tuple(
            OwnedName(label=label, region=region, epoch=epoch, tunnel=tunnel, age=age)
            for label, region, epoch, tunnel, age in rows
        )

    async def left_names(self, tunnels: Collection[str]) -> dict[str, int]:
        rows = await self._rows(
            "SELECT name, max(epoch) FROM ended_forwardings AS past WHERE tunnel = ANY(%s)"
            " AND NOT EXISTS (SELECT 1 FROM forwardings WHERE forwardings.name = past.name) GROUP BY name",
            list(tunnels),
        )
        return dict(rows)

    async def disowned(self, labels: Collection[str]) -> dict[str, int]:
        # A claim that is not committed yet is not seen, but it holds its name's lock (shared, so that claims do not
        # wait for each other). The second statement sees all that were committed before the lock was had.
        rows = await self._rows(
            "SELECT label FROM unnest(%s::text[]) AS label"
            " WHERE pg_try_advisory_xact_lock(hashtextextended('name ' || label, 0))",
            sorted(labels),
        )
        free = await self._rows(
            "SELECT label, nextval('epoch') FROM unnest(%s::text[]) AS label"
            " WHERE NOT EXISTS (SELECT 1 FROM forwardings WHERE name = label)"
            " AND NOT EXISTS (SELECT 1 FROM edges WHERE region = label)",
            [label for (label,) in rows],
        )
        return dict(free)

    async def regions_settled(self) -> tuple[Region, ...]:
        rows = await self._rows(
            """
            SELECT pg_advisory_xact_lock(hashtextextended('regions', 0));
            INSERT INTO regions (name, addresses, epoch)
            SELECT name, addresses, nextval('epoch') FROM (
                SELECT name, coalesce(array_agg(DISTINCT address) FILTER (WHERE address IS NOT NULL), '{}')
                FROM (
                    SELECT region, unnest(addresses) FROM edges WHERE NOT draining OR region NOT IN (
                        SELECT region FROM edges WHERE NOT draining
                    )
                    UNION ALL SELECT name, NULL FROM regions
                ) AS each (name, address)
                GROUP BY name
            ) AS now (name, addresses)
            WHERE NOT EXISTS (
                SELECT 1 FROM regions WHERE regions.name = now.name AND regions.addresses = now.addresses
            )
            ON CONFLICT (name) DO UPDATE SET addresses = excluded.addresses, epoch = excluded.epoch;
            SELECT name, addresses, epoch FROM regions ORDER BY name
            """
        )
        return tuple(
            Region(name=name, addresses=tuple(sorted(addresses)), epoch=epoch) for name, addresses, epoch in rows
        )

    async def entries_settled(self, name: str | None, port: int) -> tuple[Entry, ...]:
        rows = await self._rows(
            """
            SELECT pg_advisory_xact_lock(hashtextextended('entries', 0));
            INSERT INTO entries (name, port, addresses, epoch)
            SELECT name, port, addresses, nextval('epoch') FROM (
                SELECT %s::text, %s::integer, coalesce(array_agg(DISTINCT address), '{}')
                FROM (SELECT unnest(addresses) FROM edges WHERE NOT draining OR (SELECT bool_and(draining) FROM edges))
                AS each (address)
                UNION ALL SELECT name, port, '{}' FROM entries WHERE name IS DISTINCT FROM %s
            ) AS now (name, port, addresses)
            WHERE name IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM entries
                WHERE (entries.name, entries.port, entries.addresses) = (now.name, now.port, now.addresses)
            )
            ON CONFLICT (name) DO UPDATE
            SET port = excluded.port, addresses = excluded.addresses, epoch = excluded.epoch;
            SELECT name, port, addresses, epoch FROM entries ORDER BY name
            """,
            name,
            port,
            name,
        )
        return tuple(
            Entry(name=name, port=port, addresses=tuple(sorted(addresses)), epoch=epoch)
            for name, port, addresses, epoch in rows
        )
