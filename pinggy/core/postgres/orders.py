"""
Orders that wait for their edges.
"""

from __future__ import annotations

from collections.abc import Sequence

from pinggy.core.ledger import NewOrder
from pinggy.core.news import OrdersWritten
from pinggy.core.postgres.statements import Statements
from pinggy.wire.orders import Order, kept, unkept


class OrderStatements(Statements):
    async def order(self, orders: Sequence[NewOrder]) -> frozenset[str]:
        edges = frozenset(each.edge for each in orders)
        # The row of order_streams is held until the commit: numbers become visible in their order. Edges in one order
        # everywhere, so that no two transactions wait for each other.
        for edge in sorted(edges):
            mine = [each for each in orders if each.edge == edge]
            self._later(
                """
                INSERT INTO order_streams (edge, last) VALUES (%s, %s)
                    ON CONFLICT (edge) DO UPDATE SET last = order_streams.last + excluded.last;
                INSERT INTO orders (edge, number, said)
                SELECT edge, last - %s + ordinal, said
                FROM order_streams, unnest(%s::text[]) WITH ORDINALITY AS new (said, ordinal)
                WHERE edge = %s
                """,
                edge,
                len(mine),
                len(mine),
                [kept(each.order) for each in mine],
                edge,
            )
        if edges:
            await self.tell(OrdersWritten(edges=tuple(sorted(edges))))
        return edges

    async def begin_orders(self, edge: str, anew: bool) -> int:
        last = await self._value("SELECT last FROM order_streams WHERE edge = %s FOR UPDATE", edge)
        if last is None:
            return 0
        if anew:
            self._later("DELETE FROM orders WHERE edge = %s", edge)
            return int(last)
        first = await self._value("SELECT min(number) FROM orders WHERE edge = %s", edge)
        return int(last) if first is None else first - 1

    async def orders(self, edge: str, instance: str, after: int, most: int) -> tuple[Order, ...] | None:
        known = await self._row(
            "SELECT instance, coalesce(last, 0) FROM edges LEFT JOIN order_streams ON edge = name WHERE name = %s", edge
        )
        if known is None or known[0] != instance:
            return None
        if after > known[1]:
            after = 0
        rows = await self._rows(
            """
            DELETE FROM orders WHERE edge = %s AND number <= %s;
            SELECT number, said FROM orders WHERE edge = %s ORDER BY number LIMIT %s
            """,
            edge,
            after,
            edge,
            most,
        )
        return tuple(unkept(said, number) for number, said in rows)
