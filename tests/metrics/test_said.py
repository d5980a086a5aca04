"""
docs/operations.rst explains every metric that the daemons show; dashboard and alert rules ask for no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from pinggy.settings import Secret
from tests.metrics.expositions import Scraped, all_series, expositions

asynchronous = pytest_twisted.ensureDeferred
ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.rst").read_text()
DASHBOARD = json.loads((ROOT / "etc" / "grafana" / "pinggy.json").read_text())
ALERTS = (ROOT / "etc" / "prometheus" / "alerts.yml").read_text()
NAME = re.compile(r"\b(?:pinggy|process)_[a-z_]+\b")


@pytest_twisted.async_yield_fixture
async def daemons(database: Secret, tmp_path: Path) -> Any:
    yield await expositions(database, tmp_path)


def documented() -> dict[str, set[str]]:
    """The names of the tables in the section Metrics, with what they are shown by."""
    section = OPERATIONS[OPERATIONS.index("Metrics\n-------") : OPERATIONS.index("Is it well?\n")]
    rows = [line for line in section.splitlines() if line.startswith("``pinggy_")]
    return {row.split("``")[1]: set(row[54:64].split()) for row in rows}


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions() -> list[str]:
    """Everything that asks Prometheus: panels, variables of the dashboard, and alerts."""
    found = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    found += [each["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    return found + alert_expressions()


def alert_expressions() -> list[str]:
    return re.findall(r"(?m)^ +expr: (.*)$", ALERTS)


@asynchronous
async def test_every_metric_is_explained_and_no_other(daemons: list[Scraped]) -> None:
    shown = {}
    for daemon in daemons:
        for name, family in daemon.families.items():
            if name.startswith("pinggy_"):
                shown[f"{name}_total" if family.type == "counter" else name] = {
                    label for sample in family.samples for label in sample.labels if label != "le"
                }
    said = documented()
    assert set(said) == set(shown), "docs/operations.rst, section Metrics"
    # A family without a sample does not tell its labels.
    assert {name: said[name] for name, labels in shown.items() if labels} == {
        name: labels for name, labels in shown.items() if labels
    }
    processes = {name for daemon in daemons for name in daemon.series() if name.startswith("process_")}
    assert processes == set(re.findall(r"``(process_[a-z_]+)``", OPERATIONS))


@asynchronous
async def test_dashboard_and_alerts_ask_for_what_there_is(daemons: list[Scraped]) -> None:
    there = all_series(daemons)
    for expression in expressions():
        names = NAME.findall(expression)
        assert names, expression
        assert set(names) <= there, expression


def test_dashboard_and_alerts_choose_by_labels_that_there_are() -> None:
    said = documented()
    for expression in expressions():
        labels = set().union(*(said.get(series_of(name), set()) for name in NAME.findall(expression)))
        chosen = set(re.findall(r"[{,]\s*([a-z_]+)(?:=|!=|=~)", expression))
        for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
            chosen |= {each.strip() for each in group.split(",")}
        assert chosen - labels <= {"instance", "job", "le", "__name__"}, expression


def series_of(name: str) -> str:
    return re.sub(r"_(?:bucket|sum|count)$", "", name)


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert "instance" in variables
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Tunnels", "Visitors", "Set-up", "DNS", "Takeovers and relay", "Core", "Gates"]
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    for panel in panels():
        if panel["type"] == "row":
            continue
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"], panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("expression", expressions())
def test_brackets_are_closed(expression: str) -> None:
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


def test_every_alert_says_what_it_is_and_for_how_long() -> None:
    alerts = re.split(r"(?m)^ +- alert: ", ALERTS)[1:]
    assert len(alerts) == len(alert_expressions()) >= 8
    for alert in alerts:
        for part in ("expr: ", "for: ", "severity: ", "summary: ", "description: "):
            assert part in alert, alert.splitlines()[0]
