"""
Frozen values <-> JSON, by their type hints: one codec for all messages.

Optional fields may be missing; a key that no field knows is passed over (a newer peer may say more); a wrong type
is a `MalformedMessage`. A union of messages is told apart by the key ``is``, the class's ``TAG``; one that is not
known, or cannot be read as what it is, is of the class tagged `ANY_OTHER`, if the union has it: it stands among others,
which are not to be lost with it.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from enum import Enum
from typing import Any, TypeVar

from pinggy.settings import Secret
from pinggy.tunnel.refusals import MalformedMessage

T = TypeVar("T")
LONGEST_BODY = 1024 * 1024
# The ``TAG`` of the member of a union that stands for all that are not known here.
ANY_OTHER = "*"


def encode(message: Any) -> bytes:
    """*message*, a frozen dataclass, as a JSON object in UTF-8."""
    return json.dumps(_plain(message), separators=(",", ":")).encode("utf-8")


def decode(cls: type[T], body: bytes) -> T:
    """The *cls* that *body* says. Raises `MalformedMessage`."""
    if len(body) > LONGEST_BODY:
        raise MalformedMessage(f"The body is too long: {LONGEST_BODY} bytes at the most.")
    try:
        table = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedMessage("The body is not JSON.") from None
    return typing.cast(T, _value(cls, table, cls.__name__))


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if dataclasses.is_dataclass(value):
        table = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        tag = getattr(type(value), "TAG", None)
        return {"is": tag, **table} if tag else table
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return value


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(cls: type) -> dict[str, Any]:
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(hint), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise MalformedMessage(f"{where} must be a list.")
        item = typing.get_args(hint)[0]
        return tuple(_value(item, each, where) for each in value)
    if hint is Secret:
        if not isinstance(value, str):
            raise MalformedMessage(f"{where} must be a text.")
        return Secret(value)
    if dataclasses.is_dataclass(hint):
        return _message(typing.cast(type[Any], hint), value, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            raise MalformedMessage(f"{where} is none of the values known.") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise MalformedMessage(f"{where} must be of type {getattr(hint, '__name__', hint)}.")
    return value


def _union(members: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in members:
        return None
    concrete = [each for each in members if each is not type(None)]
    if len(concrete) == 1:
        return _value(concrete[0], value, where)
    tag = value.get("is") if isinstance(value, dict) else None
    if tag is not None and not isinstance(tag, str):
        raise MalformedMessage(f"{where}.is must be a text.")
    tagged = {getattr(each, "TAG", None): each for each in concrete}
    found, other = tagged.get(tag), tagged.get(ANY_OTHER) if isinstance(tag, str) else None
    if found is None and other is None:
        raise MalformedMessage(f"{where} is none of the messages known.")
    try:
        return _value(found or other, value, where)
    except MalformedMessage:
        if other is None:
            raise
        return _value(other, value, where)


def _message(cls: type[Any], value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise MalformedMessage(f"{where} must be an object.")
    values = {}
    for field in dataclasses.fields(cls):
        if field.name in value:
            values[field.name] = _value(_hints(cls)[field.name], value[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise MalformedMessage(f"{where}.{field.name} is missing.")
    return cls(**values)
