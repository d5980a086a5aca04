"""
Medians and ratios: a table for people, JSON for programs, an SVG chart for documents.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape


@dataclass(slots=True)
class Row:
    """One measure of one server, over the rounds. *less* is better where it is a cost."""

    measure: str
    server: str
    unit: str
    less: bool
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)


class Report:
    """*ours*: whose measures the others' are compared with; the first one that a measure has counts."""

    def __init__(self, name: str = "leg", ours: tuple[str, ...] = ("pinggy",)) -> None:
        self._name = name
        self._ours = ours
        self._rows: dict[tuple[str, str], Row] = {}
        self._failures: dict[str, None] = {}

    def add(self, measure: str, server: str, value: float, unit: str, *, less: bool = False) -> None:
        row = self._rows.setdefault((measure, server), Row(measure, server, unit, less))
        row.values.append(value)

    def fail(self, measure: str, server: str, why: str) -> None:
        """*server* did not do it, at least once."""
        self._failures[f"{server} failed at {measure}: {why.splitlines()[0]}"] = None

    def median(self, measure: str, server: str) -> float | None:
        row = self._rows.get((measure, server))
        return None if row is None else row.median

    def _our_row(self, rows: list[Row]) -> Row | None:
        found = {row.server: row for row in rows}
        return next((found[each] for each in self._ours if each in found), None)

    def _by_measure(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in self._rows.values():
            found.setdefault(row.measure, []).append(row)
        return found

    def table(self) -> str:
        """Each measure of each server: median, least and most of the rounds, and ours against it."""
        lines = [f"{machine()}, medians of rounds that take turns", ""]
        lines.append(f"{'':44}{'median':>10}{'least':>10}{'most':>10}  {'':8}{'ours to it':>10}")
        for measure, rows in self._by_measure().items():
            lines.append(measure)
            ours = self._our_row(rows)
            for row in rows:
                ratio = "" if ours is None or row is ours or row.median <= 0 else f"{ours.median / row.median:9.2f} x"
                lines.append(
                    f"    {row.server:40}{row.median:10.1f}{min(row.values):10.1f}{max(row.values):10.1f}"
                    f"  {row.unit:8}{ratio:>11}"
                )
        return "\n".join([*lines, *self._failures])

    def as_json(self) -> str:
        rows = [
            {"measure": row.measure, "server": row.server, "unit": row.unit, "less": row.less, "values": row.values}
            for row in self._rows.values()
        ]
        return json.dumps({"machine": machine(), "rows": rows, "failures": list(self._failures)}, indent=1)

    def chart(self) -> str:
        """Bars: each server's median as a part of the largest of its measure."""
        y, parts = 20, []
        for measure, rows in self._by_measure().items():
            unit = rows[0].unit + (", less is better" if rows[0].less else "")
            parts.append(f'<text x="10" y="{y}" class="measure">{escape(f"{measure} ({unit})")}</text>')
            most = max(row.median for row in rows) or 1
            ours = self._our_row(rows)
            for row in rows:
                y += 18
                width = max(1, round(420 * row.median / most))
                kind = "ours" if row is ours else "other"
                parts.append(f'<text x="180" y="{y}" text-anchor="end">{escape(row.server)}</text>')
                parts.append(f'<rect x="190" y="{y - 11}" width="{width}" height="13" class="{kind}"/>')
                parts.append(f'<text x="{196 + width}" y="{y}">{row.median:.1f}</text>')
            y += 34
        style = (
            "text{font:12px sans-serif;fill:#334}.measure{font-weight:bold}.ours{fill:#2a7de1}.other{fill:#b8c0cc}"
            "rect.page{fill:#fff}"
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="700" height="{y}" viewBox="0 0 700 {y}">'
            f'<style>{style}</style><rect class="page" width="700" height="{y}"/>{"".join(parts)}</svg>\n'
        )

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self._name}.json").write_text(self.as_json() + "\n")
        (folder / f"{self._name}.svg").write_text(self.chart())


def machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}, Linux {platform.release()}"
