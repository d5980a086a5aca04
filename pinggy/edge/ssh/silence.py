"""
Conch logs user names (they carry tokens) and a line or more for each channel. Its classes get this logger instead;
what the operator should know is said by our own files.
"""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer


@implementer(ILogObserver)
class _Nowhere:
    def __call__(self, event: LogEvent) -> None:
        pass


SILENT = Logger(namespace="pinggy.edge.ssh", observer=_Nowhere())
