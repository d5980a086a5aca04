"""
The certificates in use, picked by the name that a visitor asks for; read again when their files change.

A handshake looks at the files, nobody else, and at most once a second.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.interfaces import IReactorTime

from pinggy.certificates.names import by_name, most_exact
from pinggy.certificates.pair import CertificateUnusable, Pair, Shown
from pinggy.certificates.watched import WatchedFolder, WatchedPair

# Seconds between two looks at the files.
LOOK_AGAIN = 1.0
# Seconds that sessions are resumed with the same keys. Whoever gets hold of such a key can read the TLS 1.2 sessions
# that were resumable with it.
TICKET_KEYS_LIFE = 12 * 3600.0


class Certificates:
    """
    The pair of *certificate* and *key*, which is shown to whoever names nothing that another one is for; and those of
    the *folder*, each for the names in it.

    Raises `CertificateUnusable` where the pair is of no use at the start, or the folder cannot be read.
    """

    def __init__(self, certificate: Path, key: Path, clock: IReactorTime, folder: Path | None = None) -> None:
        self._clock = clock
        self._looked = now = clock.seconds()
        self._default = WatchedPair(Pair(certificate=certificate, key=key))
        self._default.read(now)
        self._folder = None if folder is None else WatchedFolder(folder)
        if self._folder is not None:
            try:
                self._folder.read(now)
            except OSError as error:
                raise CertificateUnusable(f"The folder {folder} cannot be read: {error.strerror}.") from error
        self._by_name = self._found()

    @property
    def expires(self) -> float:
        """When the first of those in use runs out, in seconds since 1970."""
        self._look()
        return min(each.expires for each in (self._any, *self._by_name.values()))

    def for_server_name(self, server_name: str | None) -> Shown:
        """What a visitor is shown who asks for *server_name* (SNI, RFC 6066 3)."""
        self._look()
        shown = (most_exact(self._by_name, server_name) if server_name else None) or self._any
        now = self._clock.seconds()
        if now - shown.keys_since >= TICKET_KEYS_LIFE:
            shown.forget_sessions(now)
        return shown

    @property
    def _any(self) -> Shown:
        assert self._default.shown is not None
        return self._default.shown

    def _look(self) -> None:
        now = self._clock.seconds()
        if now - self._looked < LOOK_AGAIN:
            return
        self._looked = now
        changed = self._default.look(now)
        if self._folder is not None:
            changed = self._folder.look(now) or changed
        if changed:
            self._by_name = self._found()

    def _found(self) -> dict[str, Shown]:
        return by_name([self._any, *(() if self._folder is None else self._folder.shown)])
