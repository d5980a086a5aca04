"""
What the ledger holds, counted by edge: for whoever watches the service, and for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import Deferred

from pinggy.core.pool import Cursor, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeFigures:
    """
    Of one edge: its *tunnels*, those that are *live*, and the *orders* that it has not carried out. *heard* is the
    seconds since it last renewed, *oldest* those since its oldest order was written; None where there is none.
    """

    edge: str
    tunnels: int
    live: int
    heard: float | None
    orders: int
    oldest: float | None


def edge_figures(pool: Pool) -> Deferred[tuple[EdgeFigures, ...]]:
    """Of every edge that there is. Fails with `LedgerAway`."""

    async def work(cursor: Cursor) -> tuple[EdgeFigures, ...]:
        await cursor.execute(_BY_EDGE)
        return tuple(
            EdgeFigures(edge=edge, tunnels=tunnels, live=live, heard=heard, orders=orders, oldest=oldest)
            for edge, tunnels, live, heard, orders, oldest in cursor.fetchall()
        )

    return pool.look(work)


_BY_EDGE = """
    SELECT
        edges.name,
        coalesce(held.tunnels, 0),
        coalesce(held.live, 0),
        extract(epoch FROM now() - seen)::float8,
        coalesce(waiting.orders, 0),
        waiting.oldest
    FROM edges
    LEFT JOIN (
        SELECT edge, count(*) AS tunnels, count(part.tunnel) AS live
        FROM tunnels LEFT JOIN (SELECT DISTINCT tunnel FROM forwardings WHERE live) AS part ON part.tunnel = id
        GROUP BY edge
    ) AS held ON held.edge = edges.name
    LEFT JOIN (
        SELECT edge, count(*) AS orders, extract(epoch FROM now() - min(written))::float8 AS oldest
        FROM orders GROUP BY edge
    ) AS waiting ON waiting.edge = edges.name
    ORDER BY edges.name
"""
