"""
The settings of the core, and that the file which explains them tells the truth.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pinggy.core.config import CoreFile, CoreSettings, DatabaseSettings
from pinggy.settings import Secret, SettingsError, load, parse

FILE = Path(__file__).parents[2] / "etc" / "core.toml"
LEAST = {"domain": "a.example", "operator_key": "0123456789abcdef", "database": {"url": "postgresql:///x"}}


def test_the_file_loads_as_it_is() -> None:
    assert load(CoreFile, FILE).core.domain == "a.example.com"


def test_what_is_commented_out_in_the_file_are_the_defaults(tmp_path: Path) -> None:
    text = re.sub(r"^# (\w+ = .*)$", r"\1", FILE.read_text(), flags=re.MULTILINE)
    path = tmp_path / "core.toml"
    path.write_text(text)
    assert load(CoreFile, path) == load(CoreFile, FILE)


def test_everything_but_three_settings_has_a_default() -> None:
    assert parse(CoreSettings, LEAST) == CoreSettings(
        domain="a.example",
        operator_key=Secret("0123456789abcdef"),
        database=DatabaseSettings(url=Secret("postgresql:///x")),
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"domain": "A.example"}, "core.domain"),
        ({"domain": "a.example."}, "core.domain"),
        ({"domain": ""}, "core.domain"),
        ({"operator_key": "short"}, "core.operator_key"),
        ({"lease": 0.5}, "core.lease"),
        ({"lease": float("nan")}, "core.lease"),
        ({"anonymous_minutes": 0}, "core.anonymous_minutes"),
        ({"database": {"url": "x", "pool": 0}}, "core.database.pool"),
        ({"listen": {"port": 65536}}, "core.listen.port"),
        ({"listen": {"host": "core.example"}}, "core.listen.host"),
        ({"listen": {"host": "0.0.0.0"}}, "core.listen.certificate"),
        ({"listen": {"host": "::"}}, "core.listen.certificate"),
        ({"listen": {"certificate": "x"}}, "core.listen.certificate"),
        ({"listen": {"key": "x"}}, "core.listen.certificate"),
        ({"zone": {"ttl": -1}}, "core.zone.ttl"),
        ({"grant_key": 1}, "core.grant_key"),
        ({"ports": {"first": 30000}}, "core.ports.first"),
        ({"limits": {"tunnels_per_account": 0}}, "core.limits.tunnels_per_account"),
        ({"nonsense": 1}, "core.nonsense"),
    ],
)
def test_what_is_out_of_bounds_is_named(change: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(named)):
        parse(CoreFile, {"core": {**LEAST, **change}})
