"""
Accounts, their credentials and what is reserved for them: the contract of that part of the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pinggy.wire import operator


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEntry:
    prefix: str
    digest: bytes
    account: str
    revoked: bool
    newest_wins: bool = False


class Accounts(Protocol):
    """Accounts, their credentials and reservations, as one transaction sees them. ``add`` is False where it stands."""

    async def has_account(self, name: str) -> bool: ...

    async def accounts(self) -> tuple[operator.Account, ...]: ...

    async def add_account(self, name: str) -> bool: ...

    async def token(self, prefix: str) -> TokenEntry | None: ...

    async def tokens(self, account: str | None) -> tuple[operator.TokenRow, ...]: ...

    async def add_token(
        self, prefix: str, digest: bytes, account: str, comment: str, newest_wins: bool = False
    ) -> bool: ...

    async def set_token(self, prefix: str, newest_wins: bool) -> bool:
        """False where there is no such token."""
        ...

    async def revoke_token(self, prefix: str) -> bool:
        """False where there is no such token; harmless when repeated."""
        ...

    async def account_of_key(self, fingerprint: str) -> str | None: ...

    async def keys(self, account: str | None) -> tuple[operator.Key, ...]: ...

    async def add_key(self, account: str, fingerprint: str, kind: str, comment: str) -> bool: ...

    async def remove_key(self, fingerprint: str) -> bool: ...

    async def account_of_name(self, name: str) -> str | None:
        """Who has reserved *name*."""
        ...

    async def names(self, account: str | None) -> tuple[operator.ReservedName, ...]:
        """Reserved names, oldest first."""
        ...

    async def reserve_name(self, account: str, name: str) -> bool: ...

    async def free_name(self, name: str) -> bool: ...

    async def account_of_port(self, port: int) -> str | None: ...

    async def ports(self, account: str | None) -> tuple[operator.ReservedPort, ...]:
        """Reserved ports, oldest first."""
        ...

    async def reserve_port(self, account: str, port: int) -> bool: ...

    async def free_port(self, port: int) -> bool: ...
