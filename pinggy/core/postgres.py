"""
The ledger in PostgreSQL: all SQL of the core.

Isolation is READ COMMITTED: each statement sees what was committed before it began. What must not change in between
is held by a row lock, an advisory lock or a unique row, and the comment beside it says which.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from pinggy.core.ledger import (
    Claim,
    Crowd,
    EdgeEntry,
    Held,
    Holder,
    Ledger,
    NewTunnel,
    TokenEntry,
    Transaction,
    TunnelEntry,
)
from pinggy.core.pool import Cursor, Pool
from pinggy.tunnel.grant import Forwarding, Identity
from pinggy.tunnel.refusals import ClientLeft, LeaseLost, Refusal, from_wire
from pinggy.tunnel.request import Kind
from pinggy.wire import operator
from pinggy.wire.messages import Lost, Usage

T = TypeVar("T")
_HISTORY_SHOWN = 500


class PostgresLedger(Ledger):
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def transact(
        self, work: Callable[[Transaction], Coroutine[Deferred[Any], Any, T]], *, repeatable: bool = True
    ) -> Deferred[T]:
        return self._pool.transact(lambda cursor: work(PostgresTransaction(cursor)), repeatable=repeatable)

    def check(self) -> Deferred[None]:
        async def work(cursor: Cursor) -> None:
            await cursor.execute("SELECT 1")

        return self._pool.transact(work)


class _Statements:
    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    async def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        await self._cursor.execute(sql, values)
        return self._cursor.fetchall()

    async def _row(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        rows = await self._rows(sql, *values)
        return rows[0] if rows else None

    async def _value(self, sql: str, *values: Any) -> Any:
        row = await self._row(sql, *values)
        return None if row is None else row[0]

    async def _run(self, sql: str, *values: Any) -> int:
        """How many rows the last statement of *sql* changed."""
        await self._cursor.execute(sql, values)
        return self._cursor.rowcount


class _Edges(_Statements):
    async def edge_by_digest(self, digest: bytes) -> EdgeEntry | None:
        row = await self._row("SELECT name, region, digest FROM edges WHERE digest = %s", digest)
        return None if row is None else EdgeEntry(name=row[0], region=row[1], digest=bytes(row[2]))

    async def register_edge(self, edge: str, instance: str, host_keys: Sequence[str]) -> tuple[str, ...]:
        await self._run(
            "UPDATE edges SET instance = %s, host_keys = %s::text[], seen = now() WHERE name = %s",
            instance,
            list(host_keys),
            edge,
        )
        rows = await self._rows(
            "SELECT id FROM tunnels WHERE edge = %s AND instance IS DISTINCT FROM %s ORDER BY id", edge, instance
        )
        return tuple(tunnel for (tunnel,) in rows)

    async def regions(self) -> frozenset[str]:
        return frozenset(region for (region,) in await self._rows("SELECT DISTINCT region FROM edges"))

    async def edges(self) -> tuple[operator.Edge, ...]:
        rows = await self._rows(
            "SELECT name, region, addresses, created, seen, (SELECT count(*) FROM tunnels WHERE edge = edges.name) "
            "FROM edges ORDER BY name"
        )
        return tuple(
            operator.Edge(
                name=name,
                region=region,
                addresses=tuple(addresses),
                created=_iso(created),
                seen=_iso_or_none(seen),
                tunnels=tunnels,
            )
            for name, region, addresses, created, seen, tunnels in rows
        )

    async def add_edge(self, edge: operator.AddEdge, digest: bytes) -> bool:
        return (
            await self._run(
                "INSERT INTO edges (name, region, addresses, digest) VALUES (%s, %s, %s::text[], %s)"
                " ON CONFLICT DO NOTHING",
                edge.name,
                edge.region,
                list(edge.addresses),
                digest,
            )
            == 1
        )

    async def change_edge(self, edge: operator.AddEdge, digest: bytes) -> None:
        await self._run(
            "UPDATE edges SET region = %s, addresses = %s::text[], digest = %s WHERE name = %s",
            edge.region,
            list(edge.addresses),
            digest,
            edge.name,
        )

    async def remove_edge(self, name: str) -> bool:
        return await self._run("DELETE FROM edges WHERE name = %s", name) == 1


class _Accounts(_Statements):
    async def has_account(self, name: str) -> bool:
        return await self._row("SELECT 1 FROM accounts WHERE name = %s", name) is not None

    async def accounts(self) -> tuple[operator.Account, ...]:
        rows = await self._rows(
            "SELECT name, created,"
            " (SELECT count(*) FROM tokens WHERE account = accounts.name AND revoked IS NULL),"
            " (SELECT count(*) FROM reserved_names WHERE account = accounts.name),"
            " (SELECT count(*) FROM tunnels WHERE account = accounts.name)"
            " FROM accounts ORDER BY name"
        )
        return tuple(
            operator.Account(name=name, created=_iso(created), tokens=tokens, names=names, tunnels=tunnels)
            for name, created, tokens, names, tunnels in rows
        )

    async def add_account(self, name: str) -> bool:
        return await self._run("INSERT INTO accounts (name) VALUES (%s) ON CONFLICT DO NOTHING", name) == 1

    async def token(self, prefix: str) -> TokenEntry | None:
        row = await self._row(
            "SELECT prefix, digest, account, revoked IS NOT NULL FROM tokens WHERE prefix = %s", prefix
        )
        return None if row is None else TokenEntry(prefix=row[0], digest=bytes(row[1]), account=row[2], revoked=row[3])

    async def tokens(self, account: str | None) -> tuple[operator.TokenRow, ...]:
        rows = await self._rows(
            "SELECT prefix, account, comment, created, revoked FROM tokens"
            " WHERE %s::text IS NULL OR account = %s ORDER BY account, created, prefix",
            account,
            account,
        )
        return tuple(
            operator.TokenRow(
                prefix=prefix,
                account=owner,
                comment=comment,
                created=_iso(created),
                revoked=_iso_or_none(revoked),
            )
            for prefix, owner, comment, created, revoked in rows
        )

    async def add_token(self, prefix: str, digest: bytes, account: str, comment: str) -> bool:
        return (
            await self._run(
                "INSERT INTO tokens (prefix, digest, account, comment) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                prefix,
                digest,
                account,
                comment,
            )
            == 1
        )

    async def revoke_token(self, prefix: str) -> bool:
        return await self._run("UPDATE tokens SET revoked = coalesce(revoked, now()) WHERE prefix = %s", prefix) == 1

    async def account_of_key(self, fingerprint: str) -> str | None:
        account: str | None = await self._value("SELECT account FROM keys WHERE fingerprint = %s", fingerprint)
        return account

    async def keys(self, account: str | None) -> tuple[operator.Key, ...]:
        rows = await self._rows(
            "SELECT fingerprint, account, type, comment, created FROM keys"
            " WHERE %s::text IS NULL OR account = %s ORDER BY account, created, fingerprint",
            account,
            account,
        )
        return tuple(
            operator.Key(fingerprint=fingerprint, account=owner, type=kind, comment=comment, created=_iso(created))
            for fingerprint, owner, kind, comment, created in rows
        )

    async def add_key(self, account: str, fingerprint: str, kind: str, comment: str) -> bool:
        return (
            await self._run(
                "INSERT INTO keys (fingerprint, account, type, comment) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                fingerprint,
                account,
                kind,
                comment,
            )
            == 1
        )

    async def remove_key(self, fingerprint: str) -> bool:
        return await self._run("DELETE FROM keys WHERE fingerprint = %s", fingerprint) == 1

    async def account_of_name(self, name: str) -> str | None:
        account: str | None = await self._value("SELECT account FROM reserved_names WHERE name = %s", name)
        return account

    async def names(self, account: str | None) -> tuple[operator.ReservedName, ...]:
        rows = await self._rows(
            "SELECT name, account, created FROM reserved_names WHERE %s::text IS NULL OR account = %s"
            " ORDER BY account, ordinal",
            account,
            account,
        )
        return tuple(
            operator.ReservedName(name=name, account=owner, created=_iso(created)) for name, owner, created in rows
        )

    async def reserve_name(self, account: str, name: str) -> bool:
        return (
            await self._run(
                "INSERT INTO reserved_names (name, account) VALUES (%s, %s) ON CONFLICT DO NOTHING", name, account
            )
            == 1
        )

    async def free_name(self, name: str) -> bool:
        return await self._run("DELETE FROM reserved_names WHERE name = %s", name) == 1

    async def account_of_port(self, port: int) -> str | None:
        account: str | None = await self._value("SELECT account FROM reserved_ports WHERE port = %s", port)
        return account

    async def ports(self, account: str | None) -> tuple[operator.ReservedPort, ...]:
        rows = await self._rows(
            "SELECT port, account, created FROM reserved_ports WHERE %s::text IS NULL OR account = %s"
            " ORDER BY account, ordinal",
            account,
            account,
        )
        return tuple(
            operator.ReservedPort(port=port, account=owner, created=_iso(created)) for port, owner, created in rows
        )

    async def reserve_port(self, account: str, port: int) -> bool:
        return (
            await self._run(
                "INSERT INTO reserved_ports (port, account) VALUES (%s, %s) ON CONFLICT DO NOTHING", port, account
            )
            == 1
        )

    async def free_port(self, port: int) -> bool:
        return await self._run("DELETE FROM reserved_ports WHERE port = %s", port) == 1


class _TunnelBook(_Statements):
    async def lock(self, *subjects: str) -> None:
        # In one order everywhere, so that no two wait for each other.
        for subject in sorted(subjects):
            await self._run("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", subject)

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
        await self._run(
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
        await self._run("DELETE FROM tunnels WHERE id = %s", tunnel)

    async def extend_lease(self, tunnel: str, lease: float) -> None:
        await self._run("UPDATE tunnels SET lease = now() + make_interval(secs => %s) WHERE id = %s", lease, tunnel)

    async def crowd(self, account: str | None, subnet: str) -> Crowd:
        row = await self._row(
            "SELECT (SELECT count(*) FROM tunnels WHERE account = %s),"
            " (SELECT count(*) FROM tunnels WHERE subnet = %s AND account IS NULL),"
            " (SELECT count(*) FROM tunnels WHERE subnet = %s AND started > now() - interval '1 minute')"
            " + (SELECT count(*) FROM ended_tunnels WHERE subnet = %s AND started > now() - interval '1 minute')",
            account,
            subnet,
            subnet,
            subnet,
        )
        assert row is not None
        return Crowd(of_account=row[0], anonymous_of_subnet=row[1], new_of_subnet=row[2])

    async def end_of(self, tunnel: str) -> Refusal | None:
        row = await self._row("SELECT code, text FROM ended_tunnels WHERE id = %s", tunnel)
        if row is not None:
            return from_wire(row[0], row[1])
        early = await self._row("SELECT 1 FROM early_releases WHERE tunnel = %s", tunnel)
        return ClientLeft.of() if early else None

    async def end(self, tunnels: Collection[str], reason: Refusal) -> tuple[str, ...]:
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
            )
            INSERT INTO ended_tunnels
                (id, edge, account, label, address, subnet, started, code, text, received, sent, visitors)
            SELECT id, edge, account, label, address, subnet, started, %s, %s, received, sent, visitors FROM gone
            RETURNING id
            """,
            list(tunnels),
            list(tunnels),
            reason.code,
            reason.text,
        )
        return tuple(tunnel for (tunnel,) in rows)

    async def forwardings(self, tunnel: str) -> tuple[Held, ...]:
        rows = await self._rows(
            "SELECT number, kind, name, epoch, port, named FROM forwardings WHERE tunnel = %s ORDER BY number", tunnel
        )
        return tuple(
            Held(forwarding=Forwarding(number=number, kind=Kind(kind), name=name, epoch=epoch, port=port), named=named)
            for number, kind, name, epoch, port, named in rows
        )

    async def claim(self, claim: Claim) -> int | None:
        # Two statements on purpose: the epoch is taken when the unique row is held, not before.
        epoch: int | None = await self._value(
            """
            INSERT INTO forwardings (tunnel, number, kind, name, port, named) VALUES (%s, %s, %s, %s, %s, %s)
                ON CONFLICT DO NOTHING;
            UPDATE forwardings SET epoch = nextval('epoch') WHERE tunnel = %s AND number = %s AND epoch = 0
                RETURNING epoch
            """,
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
        await self._run(
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
            f"SELECT id, account, label FROM tunnels JOIN forwardings ON tunnel = id WHERE {which}",  # noqa: S608
            value,
        )
        return None if row is None else Holder(tunnel=row[0], identity=Identity(account=row[1], label=row[2]))

    async def any_port(self, first: int, last: int, avoid: Collection[int]) -> int | None:
        port: int | None = await self._value(
            "SELECT candidate FROM generate_series(%s, %s) AS candidate"
            " WHERE candidate NOT IN (SELECT port FROM forwardings WHERE port IS NOT NULL)"
            " AND candidate NOT IN (SELECT port FROM reserved_ports)"
            " AND candidate <> ALL(%s::integer[]) ORDER BY random() LIMIT 1",
            first,
            last,
            list(avoid),
        )
        return port

    async def set_live(self, tunnel: str, numbers: Collection[int]) -> None:
        await self._run(
            "UPDATE forwardings SET live = true WHERE tunnel = %s AND number = ANY(%s::bigint[])",
            tunnel,
            list(numbers),
        )

    async def note_usage(self, usage: Usage) -> None:
        await self._run(
            "UPDATE tunnels SET received = greatest(received, %s), sent = greatest(sent, %s),"
            " visitors = greatest(visitors, %s) WHERE id = %s",
            usage.received,
            usage.sent,
            usage.visitors,
            usage.tunnel,
        )

    async def release_early(self, edge: str, tunnel: str) -> None:
        await self._run(
            "INSERT INTO early_releases (tunnel, edge) VALUES (%s, %s) ON CONFLICT DO NOTHING", tunnel, edge
        )

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
        )
        unknown = LeaseLost.of()
        return tuple(
            Lost(tunnel=tunnel, code=code or unknown.code, text=text or unknown.text) for tunnel, code, text in rows
        )

    async def overdue(self, grace: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        rows = await self._rows(
            "SELECT id, lease < now() FROM tunnels WHERE lease < now() OR expires < now() - make_interval(secs => %s)"
            " ORDER BY id FOR UPDATE SKIP LOCKED",
            grace,
        )
        return tuple(tunnel for tunnel, lost in rows if lost), tuple(tunnel for tunnel, lost in rows if not lost)

    async def forget_old(self, early: float, history: float) -> None:
        await self._run(
            """
            DELETE FROM early_releases WHERE at < now() - make_interval(secs => %s);
            WITH gone AS (
                DELETE FROM ended_tunnels WHERE ended < now() - make_interval(secs => %s) RETURNING id
            )
            DELETE FROM ended_forwardings WHERE tunnel IN (SELECT id FROM gone)
            """,
            early,
            history,
        )

    async def tunnels(self, account: str | None, history: bool) -> tuple[operator.TunnelRow, ...]:
        rows = await self._rows(_HISTORY if history else _LIVE, account, account, _HISTORY_SHOWN)
        return tuple(_tunnel_row(*row) for row in rows)


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


class PostgresTransaction(_Edges, _Accounts, _TunnelBook):
    """One transaction over one cursor."""


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _iso_or_none(at: datetime | None) -> str | None:
    return None if at is None else _iso(at)


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
        started=_iso(started),
        live=live,
        received=received,
        sent=sent,
        visitors=visitors,
        ended=_iso_or_none(ended),
        reason=reason,
    )
