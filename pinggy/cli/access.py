"""
Where the core is, and the key to it: options first, then the environment, then what the running service wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pinggy.cli.failure import CommandFailed
from pinggy.cli.places import Place, parse_place
from pinggy.settings import Secret

DEFAULT_URL = "http://127.0.0.1:7070"
DEFAULT_STATE = "var"
URL_FILE = "core.url"
KEY_FILE = "operator.key"
_ADVICE = ": run this where the service runs, or name its state folder with --state or the key with --key-file"
_LONGEST_FILE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the core is, and the operator's *key* with the file *key_from* that it came from."""

    place: Place
    key: Secret
    key_from: Path

    @property
    def url(self) -> str:
        return self.place.url


def find_access(
    environment: Mapping[str, str], *, state: str | None = None, core: str | None = None, key_file: str | None = None
) -> Access:
    """The access that these options and the *environment* lead to. Raises `CommandFailed`."""
    folder = Path(state or environment.get("PINGGY_STATE") or DEFAULT_STATE)
    url = core or environment.get("PINGGY_CORE") or _read_url(folder / URL_FILE)
    place = parse_url(url)
    named = key_file or environment.get("PINGGY_KEY_FILE")
    path = Path(named) if named else folder / KEY_FILE
    return Access(place=place, key=read_key(path, "operator's key", _ADVICE), key_from=path)


def parse_url(url: str) -> Place:
    """The place of a core. Raises `CommandFailed`."""
    return parse_place(url, "The core's URL", "the operator's key", DEFAULT_URL)


def _read_url(path: Path) -> str:
    try:
        return _read(path).strip() or DEFAULT_URL
    except FileNotFoundError:
        return DEFAULT_URL
    except OSError as error:
        raise CommandFailed(
            f"The file {path}, which says where the core is, cannot be read: {error.strerror}."
        ) from error


def read_key(path: Path, what: str, advice: str = "") -> Secret:
    """
    The one word that the file at *path* holds. *what* it is and the *advice* where there is none are part of the
    sentence of `CommandFailed`.
    """
    try:
        text = _read(path).strip()
    except FileNotFoundError:
        raise CommandFailed(f"There is no {what} at {path}{advice}.") from None
    except OSError as error:
        raise CommandFailed(f"The {what} {path} cannot be read: {error.strerror}.") from error
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise CommandFailed(f"The file {path} does not hold the {what}: it should be one word.")
    return Secret(text)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LONGEST_FILE).decode("utf-8", "replace")
