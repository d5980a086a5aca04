"""
What was logged while a test ran, as lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer


@implementer(ILogObserver)
class LogLines:
    """The lines of one namespace, from *least* on."""

    def __init__(self, namespace: str, least: LogLevel) -> None:
        self.lines: list[str] = []
        self._namespace = namespace
        self._least = least

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level")
        if event.get("log_namespace", "").startswith(self._namespace) and level is not None and level >= self._least:
            self.lines.append(formatEvent(event) or "")


@contextmanager
def logged(namespace: str, least: LogLevel = LogLevel.info) -> Iterator[list[str]]:
    """The list fills while the block runs."""
    observer = LogLines(namespace, least)
    globalLogPublisher.addObserver(observer)
    try:
        yield observer.lines
    finally:
        globalLogPublisher.removeObserver(observer)
