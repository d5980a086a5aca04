"""
The files of etc/ tell the truth: each loads, what it shows are the defaults, and it shows every setting.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from pathlib import Path
from typing import Any

import pytest

from pinggy.core.config import CoreFile
from pinggy.edge.config import EdgeSettings
from pinggy.gate.config import GateFile
from pinggy.settings import Secret, load
from pinggy.together.config import Settings

ETC = Path(__file__).parents[2] / "etc"
CLASSES: dict[str, type[Any]] = {
    "pinggy.toml": Settings,
    "core.toml": CoreFile,
    "edge.toml": EdgeSettings,
    "zone.toml": GateFile,
}
# What is behind the one shows its default, what is behind the other an example.
DEFAULT, EXAMPLE = "# ", "#: "


def uncommented(text: str, *marks: str) -> str:
    """*text* with the settings and tables that it only shows behind *marks*."""
    for mark in marks:
        text = re.sub(rf"(?m)^{mark}(\[+[a-z._]+\]+|[a-z_]+ = .*)$", r"\1", text)
    return text


def names_of(cls: type[Any]) -> set[str]:
    """Every name that a file of *cls* may hold."""
    found = set()
    for name, hint in typing.get_type_hints(cls).items():
        found.add(name)
        wrapped = isinstance(hint, types.UnionType) or typing.get_origin(hint) is tuple
        for each in typing.get_args(hint) if wrapped else (hint,):
            if dataclasses.is_dataclass(each) and isinstance(each, type) and each is not Secret:
                found |= names_of(each)
    return found


def file_of(name: str) -> tuple[Path, type[Any]]:
    if name not in CLASSES:
        pytest.fail(f"say in this test which settings etc/{name} holds")
    return ETC / name, CLASSES[name]


FILES = sorted(each.name for each in ETC.glob("*.toml"))


@pytest.mark.parametrize("name", FILES)
def test_it_loads_as_it_is_and_with_all_that_it_shows(name: str, tmp_path: Path) -> None:
    file, cls = file_of(name)
    as_it_is = load(cls, file)
    with_defaults = tmp_path / name
    with_defaults.write_text(uncommented(file.read_text(), DEFAULT))
    assert load(cls, with_defaults) == as_it_is
    whole = tmp_path / name
    whole.write_text(uncommented(file.read_text(), DEFAULT, EXAMPLE))
    assert load(cls, whole)


@pytest.mark.parametrize("name", FILES)
def test_it_shows_every_setting(name: str) -> None:
    file, cls = file_of(name)
    shown = set(re.findall(r"(?m)^(?:#:? )?\[*(?:[a-z]+\.)*([a-z_]+)(?:\]| = )", file.read_text()))
    assert names_of(cls) == shown


def test_the_file_of_the_whole_service_changes_nothing() -> None:
    assert load(Settings, ETC / "pinggy.toml") == Settings()
