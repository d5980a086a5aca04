"""
The state folder: what is kept between two starts, and the lock that lets only one process have it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from pinggy.settings import Secret, SettingsError


class State:
    """
    *folder* is made if it is not there. The lock is the kernel's: it is gone with the process, however that ends.

    Raises `SettingsError` where the folder cannot be written or another process has it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        try:
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(
                f"The setting state names {folder}, which cannot be written: {error.strerror}."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise SettingsError(f"The setting state names {folder}, where another pinggy runs already.") from None

    def release(self) -> None:
        os.close(self._lock)

    def secret(self, name: str) -> Secret:
        """The random secret kept in the file *name* (mode 0600), made at the first asking."""
        file = self.folder / name
        if not file.exists():
            self.write(name, secrets.token_urlsafe(32) + "\n", 0o600)
        return Secret(file.read_text().strip())

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """Write the file *name* whole or not at all."""
        file = self.folder / name
        draft = file.with_name(file.name + ".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as out:
            out.write(text)
        draft.replace(file)
        return file
