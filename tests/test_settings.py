"""
TOML to frozen values, and each mistake as one sentence that names the setting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.settings import Secret, SettingsError, load, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    port: int = 1

    def __post_init__(self) -> None:
        if self.port < 0:
            raise ValueError("port is negative.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()
    words: tuple[str, ...] = ("a",)
    ratio: float = 0.5
    flag: bool = False
    path: Path | None = None
    key: Secret | None = None


def test_a_table_becomes_a_value() -> None:
    table = {
        "name": "x",
        "inner": {"port": 2},
        "many": [{"port": 3}, {}],
        "words": [],
        "ratio": 2,
        "flag": True,
        "path": "/tmp",
        "key": "k",
    }
    assert parse(Outer, table) == Outer(
        name="x",
        inner=Inner(port=2),
        many=(Inner(port=3), Inner()),
        words=(),
        ratio=2.0,
        flag=True,
        path=Path("/tmp"),
        key=Secret("k"),
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "The setting name is missing."),
        ({"name": 1}, "The setting name must be a text."),
        ({"name": "x", "nome": 1}, "The setting nome is unknown; known here are: flag, "),
        ({"name": "x", "inner": 1}, "The setting inner must be a table."),
        ({"name": "x", "inner": {"prot": 1}}, "The setting inner.prot is unknown; known here are: port."),
        ({"name": "x", "inner": {"port": "1"}}, "The setting inner.port must be a whole number."),
        ({"name": "x", "inner": {"port": True}}, "The setting inner.port must be a whole number."),
        ({"name": "x", "inner": {"port": -1}}, "The setting inner.port is negative."),
        ({"name": "x", "many": {"port": 1}}, "The setting many must be a list."),
        ({"name": "x", "many": [{"port": 1}, 2]}, "The setting many[1] must be a table."),
        ({"name": "x", "words": ["a", 1]}, "The setting words[1] must be a text."),
        ({"name": "x", "ratio": True}, "The setting ratio must be a number."),
        ({"name": "x", "flag": 1}, "The setting flag must be true or false."),
        ({"name": "x", "path": ""}, "The setting path must be a path."),
        ({"name": "x", "key": ""}, "The setting key must be a text that is not empty."),
    ],
)
def test_a_mistake_is_named(table: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(Outer, table)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["port", "x"]), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["name", "inner", "many", "words", "ratio", "flag", "path", "key"]), _VALUES))
def test_anything_is_a_value_or_a_mistake(table: dict[str, Any]) -> None:
    try:
        value = parse(Outer, table)
    except SettingsError:
        return
    assert isinstance(value, Outer)


def test_a_file_is_named_with_its_mistake(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    with pytest.raises(SettingsError, match="cannot be read"):
        load(Outer, path)
    path.write_bytes(b"name = \xff")
    with pytest.raises(SettingsError, match="is not TOML"):
        load(Outer, path)
    path.write_text("name = ")
    with pytest.raises(SettingsError, match="is not TOML"):
        load(Outer, path)
    path.write_text("nome = 1")
    with pytest.raises(SettingsError, match=r"x\.toml: The setting nome is unknown"):
        load(Outer, path)
    path.write_text('name = "x"')
    assert load(Outer, path) == Outer(name="x")


def test_a_secret_never_prints_itself() -> None:
    secret = Secret("hidden")
    for said in (str(secret), repr(secret), f"{secret}", repr(Outer(name="x", key=secret)), str([secret])):
        assert "hidden" not in said
    assert secret.reveal() == "hidden"
