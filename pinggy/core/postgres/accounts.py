"""
Accounts, their tokens and keys, and what is reserved for them.
"""

from __future__ import annotations

from pinggy.core.account_book import TokenEntry
from pinggy.core.postgres.statements import Statements, iso, iso_or_none
from pinggy.wire import operator


class AccountStatements(Statements):
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
            operator.Account(name=name, created=iso(created), tokens=tokens, names=names, tunnels=tunnels)
            for name, created, tokens, names, tunnels in rows
        )

    async def add_account(self, name: str) -> bool:
        return await self._run("INSERT INTO accounts (name) VALUES (%s) ON CONFLICT DO NOTHING", name) == 1

    async def token(self, prefix: str) -> TokenEntry | None:
        row = await self._row(
            "SELECT prefix, digest, account, revoked IS NOT NULL, newest_wins FROM tokens WHERE prefix = %s", prefix
        )
        if row is None:
            return None
        return TokenEntry(prefix=row[0], digest=bytes(row[1]), account=row[2], revoked=row[3], newest_wins=row[4])

    async def tokens(self, account: str | None) -> tuple[operator.TokenRow, ...]:
        rows = await self._rows(
            "SELECT prefix, account, comment, created, revoked, newest_wins FROM tokens"
            " WHERE %s::text IS NULL OR account = %s ORDER BY account, created, prefix",
            account,
            account,
        )
        return tuple(
            operator.TokenRow(
                prefix=prefix,
                account=owner,
                comment=comment,
                created=iso(created),
                revoked=iso_or_none(revoked),
                newest_wins=newest_wins,
            )
            for prefix, owner, comment, created, revoked, newest_wins in rows
        )

    async def add_token(
        self, prefix: str, digest: bytes, account: str, comment: str, newest_wins: bool = False
    ) -> bool:
        return (
            await self._run(
                "INSERT INTO tokens (prefix, digest, account, comment, newest_wins) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                prefix,
                digest,
                account,
                comment,
                newest_wins,
            )
            == 1
        )

    async def set_token(self, prefix: str, newest_wins: bool) -> bool:
        return await self._run("UPDATE tokens SET newest_wins = %s WHERE prefix = %s", newest_wins, prefix) == 1

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
            operator.Key(fingerprint=fingerprint, account=owner, type=kind, comment=comment, created=iso(created))
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
            operator.ReservedName(name=name, account=owner, created=iso(created)) for name, owner, created in rows
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
            operator.ReservedPort(port=port, account=owner, created=iso(created)) for port, owner, created in rows
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
