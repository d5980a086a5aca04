"""
Conch logs user names (they carry tokens) and a line or more for each channel. Its classes get this logger instead;
what the operator should know is said by our own files.
"""

from __future__ import annotations

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure


class _Silence(Logger):
    """Costs nothing: Conch calls it three times for each visitor."""

    def __get__(self, instance: object, owner: type | None = None) -> Logger:
        return self

    def emit(self, level: LogLevel, format: str | None = None, **kwargs: object) -> None:  # noqa: A002
        pass

    def failure(
        self,
        format: str,  # noqa: A002
        failure: Failure | None = None,
        level: LogLevel = LogLevel.critical,
        **kwargs: object,
    ) -> None:
        pass


SILENT = _Silence(namespace="pinggy.edge.ssh")
