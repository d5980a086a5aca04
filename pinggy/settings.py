"""
Settings: TOML tables become frozen dataclasses, once, at the start of a daemon.

Each daemon describes its settings as frozen dataclasses in its own ``config.py``; `parse` fills them. A key that
no field knows, a missing key without a default and a value of the wrong type are each one sentence that names the
setting as the file spells it: ``core.database.url``.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class SettingsError(Exception):
    """A setting is unknown, missing, of the wrong type or of no use; the text is one line for the operator."""


@dataclasses.dataclass(frozen=True, slots=True)
class Secret:
    """
    A text that never prints itself: in a log, a traceback or a repr it is dots.

    ``reveal()`` is the only way to the text, so that each use can be found by a search.
    """

    _text: str = dataclasses.field(repr=False)

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def reveal(self) -> str:
        return self._text


def load(cls: type[T], path: Path) -> T:
    """Read the TOML file at *path* into *cls*. Raises `SettingsError`."""
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} is not TOML: {error}.") from error
    try:
        return parse(cls, table)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def parse(cls: type[T], table: dict[str, Any], prefix: str = "") -> T:
    """Turn one TOML *table* into the frozen dataclass *cls*. Raises `SettingsError`."""
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            known = ", ".join(sorted(fields))
            raise SettingsError(f"The setting {prefix}{key} is unknown; known here are: {known}.")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _value(hints[name], table[name], f"{prefix}{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            if dataclasses.is_dataclass(hints[name]):
                values[name] = parse(typing.cast(type[Any], hints[name]), {}, f"{prefix}{name}.")
            else:
                raise SettingsError(f"The setting {prefix}{name} is missing.")
    try:
        return cls(**values)
    except ValueError as error:
        raise SettingsError(f"The setting {prefix}{error}") from error


def _value(hint: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
        return _value(hint, value, name)
    if origin is tuple:
        item = typing.get_args(hint)[0]
        if not isinstance(value, list):
            raise SettingsError(f"The setting {name} must be a list.")
        return tuple(_value(item, each, f"{name}[{index}]") for index, each in enumerate(value))
    if dataclasses.is_dataclass(hint) and hint is not Secret:
        if not isinstance(value, dict):
            raise SettingsError(f"The setting {name} must be a table.")
        return parse(typing.cast(type[Any], hint), value, f"{name}.")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (Path, Secret) and isinstance(value, str) and value:
        return hint(value)
    if hint in (str, int, float, bool) and type(value) is hint:
        return value
    raise SettingsError(f"The setting {name} must be {_KINDS[hint]}.")


_KINDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    Secret: "a text that is not empty",
}
