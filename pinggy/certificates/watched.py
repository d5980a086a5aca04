"""
Files that are looked at again: a pair, and a folder of pairs. What is of no use is one line in the log.
"""

from __future__ import annotations

from pathlib import Path

from twisted.logger import Logger

from pinggy.certificates.pair import CertificateUnusable, Pair, Shown

# Pairs of a folder. Each costs two looks a second.
MOST_PAIRS = 1000

_log = Logger()


class WatchedPair:
    """*shown* is what was last read of the *pair* that was of use, if anything was."""

    def __init__(self, pair: Pair) -> None:
        self.shown: Shown | None = None
        self._pair = pair
        self._seen: tuple[object, ...] = ()

    def read(self, now: float) -> bool:
        """Whether there is something new. Raises `CertificateUnusable`, once for files that stay as they are."""
        stamp = self._pair.stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        content = self._pair.read()
        # A copy of the same: its sessions go on.
        if self.shown is not None and self.shown.content == content:
            return False
        self.shown = Shown(self._pair, content, now)
        return True

    def look(self, now: float) -> bool:
        """As `read`, but what is of no use is logged."""
        had = self.shown is not None
        path = str(self._pair.certificate)
        try:
            if not self.read(now):
                return False
        except CertificateUnusable as error:
            if had:
                _log.warn("{error} The certificate read before stays in use.", error=str(error))
            else:
                _log.warn("{error} Its names are served with another certificate.", error=str(error))
            return False
        if had:
            _log.info("The certificate {path} has changed and was read again.", path=path)
        else:
            _log.info("The certificate {path} is in use.", path=path)
        return True


class WatchedFolder:
    """Each ``NAME.pem`` of the *folder*, with ``NAME.key`` beside it. Nothing is read before the first `read`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pairs: dict[Path, WatchedPair] = {}
        self._is_lost = False
        self._has_too_many = False

    @property
    def shown(self) -> list[Shown]:
        """What is of use, in the order of the files' names."""
        return [pair.shown for _, pair in sorted(self._pairs.items()) if pair.shown is not None]

    def read(self, now: float) -> bool:
        """Whether there is something new. Raises `OSError` where the folder cannot be read."""
        files = sorted(path for path in self._folder.iterdir() if path.suffix == ".pem" and path.name[0] != ".")
        self._say_if_too_many(len(files))
        changed = False
        for path in self._pairs.keys() - set(files[:MOST_PAIRS]):
            if self._pairs.pop(path).shown is not None:
                changed = True
                _log.info("The certificate {path} is gone and no longer in use.", path=str(path))
        for path in files[:MOST_PAIRS]:
            pair = self._pairs.get(path)
            if pair is None:
                pair = self._pairs[path] = WatchedPair(Pair(certificate=path, key=path.with_suffix(".key")))
            changed = pair.look(now) or changed
        return changed

    def look(self, now: float) -> bool:
        """As `read`, but a folder that cannot be read is logged."""
        try:
            changed = self.read(now)
        except OSError as error:
            if not self._is_lost:
                self._is_lost = True
                _log.warn(
                    "The folder {folder} cannot be read: {why}. Its certificates stay in use.",
                    folder=str(self._folder),
                    why=error.strerror,
                )
            return False
        self._is_lost = False
        return changed

    def _say_if_too_many(self, count: int) -> None:
        if count > MOST_PAIRS and not self._has_too_many:
            _log.warn(
                "The folder {folder} has {count} certificates: the first {most} by their files' names are in use.",
                folder=str(self._folder),
                count=count,
                most=MOST_PAIRS,
            )
        self._has_too_many = count > MOST_PAIRS
