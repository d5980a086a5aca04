"""
Forwardings: who holds a name or port, and how it is had. The unique rows of this table are the one-owner rule.
"""

from __future__ import annotations

from collections.abc import Collection

from pinggy.core.ledger import Claim, Held, Holder
from pinggy.core.postgres.statements import Statements
from pinggy.tunnel.grant import Forwarding, Identity
from pinggy.tunnel.request import Kind


class ClaimStatements(Statements):
    async def forwardings(self, tunnel: str) -> tuple[Held, ...]:
        rows = await self._rows(
            "SELECT number, kind, name, epoch, port, named FROM forwardings WHERE tunnel = %s ORDER BY number", tunnel
        )
        return tuple(
            Held(forwarding=Forwarding(number=number, kind=Kind(kind), name=name, epoch=epoch, port=port), named=named)
            for number, kind, name, epoch, port, named in rows
        )

    async def claim(self, claim: Claim) -> int | None:
        # Three statements on purpose: the name's lock tells `disowned` of a claim that it cannot see yet, and the epoch
        # is taken when the unique row is held, not before.
        epoch: int | None = await self._value(
            """
            SELECT pg_advisory_xact_lock_shared(hashtextextended('name ' || %s, 0));
            INSERT INTO forwardings (tunnel, number, kind, name, port, named) VALUES (%s, %s, %s, %s, %s, %s)
                ON CONFLICT DO NOTHING;
            UPDATE forwardings SET epoch = nextval('epoch') WHERE tunnel = %s AND number = %s AND epoch = 0
                RETURNING epoch
            """,
            claim.name,
            claim.tunnel,
            claim.number,
            claim.kind.value,
            claim.name,
            claim.port,
            claim.named,
            claim.tunnel,
            claim.number,
        )
        return epoch

    async def rename(self, tunnel: str, number: int, claim: Claim) -> int:
        epoch: int = await self._value(
            """
            INSERT INTO ended_forwardings (tunnel, number, kind, name, port, epoch, started)
                SELECT tunnel, number, kind, name, port, epoch, started FROM forwardings
                WHERE tunnel = %s AND number = %s;
            UPDATE forwardings
                SET number = %s, kind = %s, named = %s, live = false, started = now(), epoch = nextval('epoch')
                WHERE tunnel = %s AND number = %s RETURNING epoch
            """,
            tunnel,
            number,
            claim.number,
            claim.kind.value,
            claim.named,
            tunnel,
            number,
        )
        return epoch

    async def end_forwardings(self, tunnel: str, numbers: Collection[int]) -> None:
        self._later(
            """
            WITH gone AS (DELETE FROM forwardings WHERE tunnel = %s AND number = ANY(%s::bigint[]) RETURNING *)
            INSERT INTO ended_forwardings (tunnel, number, kind, name, port, epoch, started)
            SELECT tunnel, number, kind, name, port, epoch, started FROM gone
            """,
            tunnel,
            list(numbers),
        )

    async def holder_of_name(self, name: str) -> Holder | None:
        return await self._holder("forwardings.name = %s", name)

    async def holder_of_port(self, port: int) -> Holder | None:
        return await self._holder("forwardings.port = %s", port)

    async def _holder(self, which: str, value: str | int) -> Holder | None:
        row = await self._row(
            "SELECT id, account, label, edge, lease < now()"  # noqa: S608
            f" FROM tunnels JOIN forwardings ON tunnel = id WHERE {which}",
            value,
        )
        if row is None:
            return None
        return Holder(tunnel=row[0], identity=Identity(account=row[1], label=row[2]), edge=row[3], lease_over=row[4])

    async def any_port(self, first: int, last: int, avoid: Collection[int]) -> int | None:
        # Some that are drawn by lot; where all of them are taken, whatever is left of the whole range.
        port: int | None = await self._value(
            """
            SELECT candidate FROM (
                SELECT %s + floor(random() * %s)::integer AS candidate FROM generate_series(1, 10)
            ) AS drawn WHERE candidate <> ALL(%s::integer[])
                AND NOT EXISTS (SELECT FROM forwardings WHERE port = candidate)
                AND NOT EXISTS (SELECT FROM reserved_ports WHERE port = candidate)
            UNION ALL
            (SELECT candidate FROM generate_series(%s, %s) AS candidate WHERE candidate <> ALL(%s::integer[])
                AND candidate NOT IN (SELECT port FROM forwardings WHERE port IS NOT NULL)
                AND candidate NOT IN (SELECT port FROM reserved_ports) ORDER BY random())
            LIMIT 1
            """,
            first,
            last - first + 1,
            list(avoid),
            first,
            last,
            list(avoid),
        )
        return port
