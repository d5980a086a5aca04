"""
Where the core is, and the key to it: options first, then the environment, then what the running service wrote.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pinggy.cli.failure import CommandFailed
from pinggy.settings import Secret

DEFAULT_URL = "http://127.0.0.1:7070"
DEFAULT_STATE = "var"
URL_FILE = "core.url"
KEY_FILE = "operator.key"
_LONGEST_FILE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The core's address, and the operator's *key* with the file *key_from* that it came from."""

    secure: bool
    host: str
    port: int
    key: Secret
    key_from: Path

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


def find_access(
    environment: Mapping[str, str], *, state: str | None = None, core: str | None = None, key_file: str | None = None
) -> Access:
    """The access that these options and the *environment* lead to. Raises `CommandFailed`."""
    folder = Path(state or environment.get("PINGGY_STATE") or DEFAULT_STATE)
    url = core or environment.get("PINGGY_CORE") or _read_url(folder / URL_FILE)
    secure, host, port = parse_url(url)
    named = key_file or environment.get("PINGGY_KEY_FILE")
    path = Path(named) if named else folder / KEY_FILE
    return Access(secure=secure, host=host, port=port, key=_read_key(path), key_from=path)


def parse_url(url: str) -> tuple[bool, str, int]:
    """Whether *url* is https, its host and its port. Without TLS the core must be on loopback: the key is a secret."""
    shown = f"The core's URL {url!r}"
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise CommandFailed(f"{shown} is not a URL.") from None
    if parts.scheme not in ("http", "https") or not host or not host.isascii():
        raise CommandFailed(f"{shown} is not one of http or https with a host, such as {DEFAULT_URL}.")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise CommandFailed(f"{shown} has more than a host and a port.")
    secure = parts.scheme == "https"
    if not secure and not _is_loopback(host):
        raise CommandFailed(f"{shown} would send the operator's key in the clear: use https, or a loopback address.")
    return secure, host, port or (443 if secure else 80)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_url(path: Path) -> str:
    try:
        return _read(path).strip() or DEFAULT_URL
    except FileNotFoundError:
        return DEFAULT_URL
    except OSError as error:
        raise CommandFailed(
            f"The file {path}, which says where the core is, cannot be read: {error.strerror}."
        ) from error


def _read_key(path: Path) -> Secret:
    try:
        text = _read(path).strip()
    except FileNotFoundError:
        raise CommandFailed(
            f"There is no operator's key at {path}: run this where the service runs, or name its state folder with "
            "--state or the key with --key-file."
        ) from None
    except OSError as error:
        raise CommandFailed(f"The operator's key {path} cannot be read: {error.strerror}.") from error
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise CommandFailed(f"The file {path} does not hold an operator's key: it should be one word.")
    return Secret(text)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LONGEST_FILE).decode("utf-8", "replace")
