"""
Rows in columns, for people: pure, texts in and texts out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

Cell = str | int | None
_GAP = "  "
_UNITS = ("B", "kB", "MB", "GB", "TB")


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """
    The lines of a table: *columns* are the titles, every row has a cell for each. Numbers stand right, texts left,
    None is a hyphen. Texts of strangers are made harmless (`clean`).
    """
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(columns, *texts, strict=True)]
    rights = [
        any(isinstance(row[index], int) for row in rows) and not any(isinstance(row[index], str) for row in rows)
        for index in range(len(columns))
    ]
    return [
        _GAP.join(_pad(text, width, right) for text, width, right in zip(line, widths, rights, strict=True)).rstrip()
        for line in (list(columns), *texts)
    ]


def clean(text: str) -> str:
    """*text* without what could command a terminal or hide on it: controls, invisible and unassigned characters."""
    return "".join("?" if _is_unprintable(char) else char for char in text)


def short_time(iso: str | None) -> str | None:
    """``2026-11-23 19:52`` in UTC, of an ISO 8601 time; what is none stays as it is."""
    if iso is None:
        return None
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%d %H:%M")


def short_size(size: int) -> str:
    """``512 B``, ``1.5 kB``, ``20.0 GB``: decimal units."""
    amount = float(size)
    for unit in _UNITS:
        if amount < 1000 or unit == _UNITS[-1]:
            break
        amount /= 1000
    return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"


def _text(cell: Cell) -> str:
    return "-" if cell is None or cell == "" else clean(str(cell))


def _is_unprintable(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "C" or category in ("Zl", "Zp")


def _width(text: str) -> int:
    """Columns on a terminal: wide characters take two, marks that combine take none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _pad(text: str, width: int, right: bool) -> str:
    blank = " " * (width - _width(text))
    return blank + text if right else text + blank
