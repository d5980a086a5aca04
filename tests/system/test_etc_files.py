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
from pinggy.gate.config import GateFile
from pinggy.settings import Secret, load
from pinggy.together.config import Settings

ETC = Path(__file__).parents[2] / "etc"
CLASSES: dict[str, type[Any]] = {"pinggy.toml": Settings, "core.toml": CoreFile, "zone.toml": GateFile}


def uncommented(text: str) -> str:
    """*text* with the settings and tables that it only shows."""
    return re.sub(r"(?m)^# (\[[a-z.]+\]|[a-z_]+ = .*)$", r"\1", text)


def names_of(cls: type[Any]) -> set[str]:
    """Every name that a file of *cls* may hold."""
    found = set()
    for name, hint in typing.get_type_hints(cls).items():
        found.add(name)
        union = isinstance(hint, types.UnionType)
        for each in typing.get_args(hint) if union else (hint,):
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
    load(cls, file)
    whole = tmp_path / name
    whole.write_text(uncommented(file.read_text()))
    load(cls, whole)


@pytest.mark.parametrize("name", FILES)
def test_it_shows_every_setting(name: str) -> None:
    file, cls = file_of(name)
    shown = set(re.findall(r"(?m)^(?:# )?\[?(?:[a-z]+\.)*([a-z_]+)(?:\]| = )", file.read_text()))
    assert names_of(cls) == shown


def test_the_file_of_the_whole_service_changes_nothing() -> None:
    assert load(Settings, ETC / "pinggy.toml") == Settings()
