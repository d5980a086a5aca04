"""
One statement after the other on one cursor, and times as they are said.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pinggy.core.news import CHANNEL, Bulletin, Item, News
from pinggy.core.pool import Cursor


class Statements:
    """Those of one transaction. *told* and *hints* are what it has to say when it is committed."""

    def __init__(self, cursor: Cursor, news: News) -> None:
        self._cursor = cursor
        self._news = news
        self.told: list[Bulletin] = []
        self.hints: list[Item] = []

    async def tell(self, *items: Item) -> None:
        if not items:
            return
        bulletin = self._news.bulletin(items)
        self.told.append(bulletin)
        self._later("SELECT pg_notify(%s, %s)", CHANNEL, bulletin.text())

    async def hint(self, *items: Item) -> None:
        self.hints += items

    async def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        await self._cursor.execute(sql, values)
        return self._cursor.fetchall()

    async def _row(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        rows = await self._rows(sql, *values)
        return rows[0] if rows else None

    async def _value(self, sql: str, *values: Any) -> Any:
        row = await self._row(sql, *values)
        return None if row is None else row[0]

    def _later(self, sql: str, *values: Any) -> None:
        """Run *sql* with the next statement or the commit."""
        self._cursor.later(sql, values)

    async def _run(self, sql: str, *values: Any) -> int:
        """How many rows the last statement of *sql* changed."""
        await self._cursor.execute(sql, values)
        return self._cursor.rowcount


def iso(at: datetime) -> str:
    """ISO 8601 in UTC, to the second."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def iso_or_none(at: datetime | None) -> str | None:
    return None if at is None else iso(at)
