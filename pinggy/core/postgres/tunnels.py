"""
Tunnels: their leases, their ends and their history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from pinggy.core.ledger import Crowd, Ended, NewTunnel, TunnelEntry
from pinggy.core.postgres.statements import Statements, iso, iso_or_none
from pinggy.tunnel.endings import ClientLeft, LeaseLost
from pinggy.tunnel.grant import Forwarding, Identity
from pinggy.tunnel.refusal_codes import from_wire
from pinggy.tunnel.refusals import Refusal
from pinggy.tunnel.request import Kind
from pinggy.wire import operator
from pinggy.wire.messages import Lost, Usage

_HISTORY_SHOWN = 500


class TunnelStatements(Statements):
    async def lock(self, *subjects: str) -> None:
        # In one order everywhere, so that no two wait for each other.
        for subject in sorted(subjects):
            self._later("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", subject)

    async def tunnel(self, tunnel: str) -> TunnelEntry | None:
        row = await self._row(
            "SELECT id, edge, account, label, address, extract(epoch FROM expires - now())::float8"
            " FROM tunnels WHERE id = %s FOR UPDATE",
            tunnel,
        )
        return (
            None
            if row is None
            else TunnelEntry(
                id=row[0],
                edge=row[1],
                identity=Identity(account=row[2], label=row[3]),
                address=row[4],
                expires_in=row[5],
            )
        )

    async def add_tunnel(self, tunnel: NewTunnel) -> None:
        self._later(
            "INSERT INTO tunnels (id, edge, instance, account, label, address, subnet, lease, expires)"
            " SELECT %s, name, instance, %s, %s, %s, %s,"
            " now() + make_interval(secs => %s), now() + make_interval(secs => %s) FROM edges WHERE name = %s",
            tunnel.id,
            tunnel.identity.account,
            tunnel.identity.label,
            tunnel.address,
            tunnel.subnet,
            tunnel.lease,
            tunnel.expires_in,
            tunnel.edge,
        )

    async def forget_tunnel(self, tunnel: str) -> None:
        self._later("DELETE FROM tunnels WHERE id = %s", tunnel)

    async def extend_lease(self, tunnel: str, lease: float) -> None:
        self._later("UPDATE tunnels SET lease = now() + make_interval(secs => %s) WHERE id = %s", lease, tunnel)

    async def crowd(self, account: str | None, subnet: str) -> Crowd:
        whose, who = ("subnet = %s AND account IS NULL", subnet) if account is None else ("account = %s", account)
        row = await self._row(
            "SELECT (SELECT count(*) FROM tunnels WHERE account = %s),"  # noqa: S608
            " (SELECT count(*) FROM tunnels WHERE subnet = %s AND account IS NULL),"
            f" (SELECT count(*) FROM tunnels WHERE {whose} AND started > now() - interval '1 minute')"
            f" + (SELECT count(*) FROM ended_tunnels WHERE {whose} AND started > now() - interval '1 minute'"
            " AND ended > now() - interval '1 minute')",
            account,
            subnet,
            who,
            who,
        )
        assert row is not None
        return Crowd(of_account=row[0], anonymous_of_subnet=row[1], new=row[2])

    async def end_of(self, tunnel: str) -> Refusal | None:
        row = await self._row(
            "SELECT code, text FROM ended_tunnels WHERE id = %s"
            " UNION ALL SELECT NULL, NULL FROM early_releases WHERE tunnel = %s LIMIT 1",
            tunnel,
            tunnel,
        )
        if row is None:
            return None
        return ClientLeft.of() if row[0] is None else from_wire(row[0], row[1])

    async def end(self, tunnels: Collection[str], reason: Refusal) -> tuple[Ended, ...]:
        if not tunnels:
            return ()
        # Locked by a statement of its own: the next one then sees the forwardings that were added while it waited.
        rows = await self._rows(
            """
            SELECT 1 FROM tunnels WHERE id = ANY(%s) ORDER BY id FOR UPDATE;
            WITH gone AS (DELETE FROM tunnels WHERE id = ANY(%s) RETURNING *),
            parts AS (
                INSERT INTO ended_forwardings (tunnel, number, kind, name, port, epoch, started)
                SELECT tunnel, number, kind, name, port, epoch, started
                FROM forwardings WHERE tunnel IN (SELECT id FROM gone)
                RETURNING tunnel, number, kind, name, port, epoch
            ),
            history AS (
                INSERT INTO ended_tunnels
                    (id, edge, account, label, address, subnet, started, code, text, received, sent, visitors)
                SELECT id, edge, account, label, address, subnet, started, %s, %s, received, sent, visitors FROM gone
            )
            SELECT gone.id, gone.edge, edges.region, number, kind, parts.name, port, epoch
            FROM gone JOIN edges ON edges.name = gone.edge LEFT JOIN parts ON parts.tunnel = gone.id
            ORDER BY gone.id, number
            """,
            list(tunnels),
            list(tunnels),
            reason.code,
            reason.text,
        )
        return _ended(rows)

    async def set_live(self, tunnel: str, numbers: Collection[int]) -> tuple[str, ...]:
        rows = await self._rows(
            "UPDATE forwardings SET live = true WHERE tunnel = %s AND number = ANY(%s::bigint[]) AND NOT live"
            " RETURNING name",
            tunnel,
            list(numbers),
        )
        return tuple(name for (name,) in rows)

    async def note_usage(self, usage: Usage) -> None:
        self._later(
            "UPDATE tunnels SET received = greatest(received, %s), sent = greatest(sent, %s),"
            " visitors = greatest(visitors, %s) WHERE id = %s",
            usage.received,
            usage.sent,
            usage.visitors,
            usage.tunnel,
        )

    async def release_early(self, edge: str, tunnel: str) -> None:
        self._later("INSERT INTO early_releases (tunnel, edge) VALUES (%s, %s) ON CONFLICT DO NOTHING", tunnel, edge)

    async def renew(self, edge: str, usages: Sequence[Usage], lease: float) -> tuple[Lost, ...]:
        # A row that somebody else holds is passed over: whoever changes a tunnel ends it or extends its lease.
        rows = await self._rows(
            """
            UPDATE edges SET seen = now() WHERE name = %s;
            WITH reported (id, received, sent, visitors) AS (
                SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
            ),
            held AS (
                SELECT tunnels.id FROM tunnels JOIN reported USING (id) WHERE edge = %s
                FOR UPDATE OF tunnels SKIP LOCKED
            ),
            renewed AS (
                UPDATE tunnels SET
                    lease = now() + make_interval(secs => %s),
                    received = greatest(tunnels.received, reported.received),
                    sent = greatest(tunnels.sent, reported.sent),
                    visitors = greatest(tunnels.visitors, reported.visitors)
                FROM reported JOIN held USING (id) WHERE tunnels.id = reported.id
            )
            SELECT reported.id, ended_tunnels.code, ended_tunnels.text
            FROM reported
            LEFT JOIN tunnels ON tunnels.id = reported.id AND tunnels.edge = %s
            LEFT JOIN ended_tunnels ON ended_tunnels.id = reported.id AND ended_tunnels.edge = %s
            WHERE tunnels.id IS NULL
                AND NOT EXISTS (SELECT 1 FROM handovers WHERE handovers.tunnel = reported.id AND handovers.edge = %s)
            """,
            edge,
            [usage.tunnel for usage in usages],
            [usage.received for usage in usages],
            [usage.sent for usage in usages],
            [usage.visitors for usage in usages],
            edge,
            lease,
            edge,
            edge,
            edge,
        )
        unknown = LeaseLost.of()
        return tuple(
            Lost(tunnel=tunnel, code=code or unknown.code, text=text or unknown.text) for tunnel, code, text in rows
        )

    async def clock(self) -> float:
        return float(await self._value("SELECT extract(epoch FROM now())::float8"))

    async def overdue(self, grace: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        rows = await self._rows(
            "SELECT id, lease < now() FROM tunnels WHERE lease < now() OR expires < now() - make_interval(secs => %s)"
            " ORDER BY id FOR UPDATE SKIP LOCKED",
            grace,
        )
        return tuple(tunnel for tunnel, lost in rows if lost), tuple(tunnel for tunnel, lost in rows if not lost)

    async def forget_old(self, early: float, history: float, orders: float) -> None:
        self._later(
            """
            DELETE FROM early_releases WHERE at < now() - make_interval(secs => %s);
            WITH gone AS (
                DELETE FROM ended_tunnels WHERE ended < now() - make_interval(secs => %s) RETURNING id
            )
            DELETE FROM ended_forwardings WHERE tunnel IN (SELECT id FROM gone);
            DELETE FROM orders WHERE written < now() - make_interval(secs => %s)
            """,
            early,
            history,
            orders,
        )

    async def tunnels(self, account: str | None, history: bool) -> tuple[operator.TunnelRow, ...]:
        rows = await self._rows(_HISTORY if history else _LIVE, account, account, _HISTORY_SHOWN)
        return tuple(_tunnel_row(*row) for row in rows)


def _ended(rows: Iterable[tuple[Any, ...]]) -> tuple[Ended, ...]:
    """Of rows of tunnel, edge, region and one forwarding each (without a number: of none)."""
    tunnels = []
    for whose, group in groupby(rows, key=lambda row: row[:3]):
        parts = [row[3:] for row in group if row[3] is not None]
        forwardings = tuple(
            Forwarding(number=number, kind=Kind(kind), name=name, epoch=epoch, port=port)
            for number, kind, name, port, epoch in parts
        )
        tunnels.append(Ended(tunnel=whose[0], edge=whose[1], region=whose[2], forwardings=forwardings))
    return tuple(tunnels)


_SHOWN = """
    array(
        SELECT kind || ' ' || name || coalesce(':' || port, '')
        FROM {forwardings} AS part WHERE part.tunnel = {tunnels}.id ORDER BY number, epoch
    )
"""
_LIVE = f"""
    SELECT id, account, edge, address, {_SHOWN.format(forwardings="forwardings", tunnels="tunnels")}, started,
        EXISTS (SELECT 1 FROM forwardings WHERE tunnel = id AND live), received, sent, visitors, NULL, NULL
    FROM tunnels WHERE %s::text IS NULL OR account = %s ORDER BY started DESC, id LIMIT greatest(%s, 100000)
"""  # noqa: S608
_HISTORY = f"""
    SELECT id, account, edge, address, {_SHOWN.format(forwardings="ended_forwardings", tunnels="ended_tunnels")},
        started, false, received, sent, visitors, ended, code
    FROM ended_tunnels WHERE %s::text IS NULL OR account = %s ORDER BY ended DESC, id LIMIT %s
"""  # noqa: S608


def _tunnel_row(
    tunnel: str,
    account: str | None,
    edge: str,
    address: str,
    forwardings: list[str],
    started: datetime,
    live: bool,
    received: int,
    sent: int,
    visitors: int,
    ended: datetime | None,
    reason: str | None,
) -> operator.TunnelRow:
    return operator.TunnelRow(
        tunnel=tunnel,
        account=account,
        edge=edge,
        address=address,
        forwardings=tuple(forwardings),
        started=iso(started),
        live=live,
        received=received,
        sent=sent,
        visitors=visitors,
        ended=iso_or_none(ended),
        reason=reason,
    )
