"""
What is looked at when something is wrong.
"""

from __future__ import annotations

from pinggy.core.doctor_book import EdgeSeen, SeenForwarding, TunnelSeen
from pinggy.core.postgres.statements import Statements
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.request import Kind


class DoctorStatements(Statements):
    async def schema(self) -> int:
        return int(await self._value("SELECT max(number) FROM migrations"))

    async def edges_seen(self) -> tuple[EdgeSeen, ...]:
        rows = await self._rows(
            "SELECT name, region, addresses, extract(epoch FROM now() - seen)::float8, draining, relay_port,"
            " host_keys, count(tunnels.id), extract(epoch FROM min(lease) - now())::float8"
            " FROM edges LEFT JOIN tunnels ON tunnels.edge = edges.name GROUP BY edges.name ORDER BY edges.name"
        )
        return tuple(
            EdgeSeen(
                name=name,
                region=region,
                addresses=tuple(addresses),
                heard=heard,
                draining=draining,
                relay_port=relay_port,
                host_keys=tuple(sorted(host_keys)),
                tunnels=tunnels,
                lease=lease,
            )
            for name, region, addresses, heard, draining, relay_port, host_keys, tunnels, lease in rows
        )

    async def tunnels_like(self, prefix: str) -> tuple[str, ...]:
        rows = await self._rows("SELECT id FROM tunnels WHERE starts_with(id, %s) ORDER BY id LIMIT 2", prefix)
        return tuple(tunnel for (tunnel,) in rows)

    async def tunnel_seen(self, tunnel: str) -> TunnelSeen | None:
        row = await self._row(
            "SELECT account, address, edge, region, addresses, extract(epoch FROM now() - started)::float8,"
            " extract(epoch FROM lease - now())::float8"
            " FROM tunnels JOIN edges ON edges.name = edge WHERE id = %s",
            tunnel,
        )
        if row is None:
            return None
        account, address, edge, region, addresses, age, lease = row
        parts = await self._rows(
            "SELECT number, kind, name, port, epoch, live, extract(epoch FROM now() - started)::float8"
            " FROM forwardings WHERE tunnel = %s ORDER BY number",
            tunnel,
        )
        return TunnelSeen(
            id=tunnel,
            account=account,
            address=address,
            edge=edge,
            region=region,
            addresses=tuple(addresses),
            age=age,
            lease=lease,
            forwardings=tuple(
                SeenForwarding(
                    forwarding=Forwarding(number=number, kind=Kind(kind), name=name, port=port, epoch=epoch),
                    live=live,
                    age=since,
                )
                for number, kind, name, port, epoch, live, since in parts
            ),
        )
