"""
A secret in a file that all cores share: made once, whole or not at all, and for its owner alone.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from pinggy.settings import SettingsError


def ensure_key_file(setting: str, path: Path, make: Callable[[], bytes]) -> bytes:
    """
    What the file *path* holds (mode 0600); with what *make* makes, where there is none. Raises `SettingsError`, in the
    name of *setting*.

    Of two cores that make it at once, one does: the other takes what is there.
    """
    try:
        if not path.exists():
            _write(path, make())
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{setting} names {path}, which others may read: chmod 600 {path}")
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{setting} names {path}, which is of no use: {error.strerror}.") from error


def _write(path: Path, content: bytes) -> None:
    """Never over one that is there."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
