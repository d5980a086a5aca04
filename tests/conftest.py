"""
What every test is held to: no logged failure, no Deferred whose error nobody took, no delayed call left behind.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher


@pytest.fixture(autouse=True)
def nothing_is_lost() -> Iterator[None]:
    failures: list[str] = []

    def watch(event: LogEvent) -> None:
        level = event.get("log_level")
        if level in (LogLevel.error, LogLevel.critical) or event.get("isError"):
            failure = event.get("log_failure")
            failures.append((formatEvent(event) or "") + (f"\n{failure.getTraceback()}" if failure else ""))

    before = set(_delayed_calls())
    globalLogPublisher.addObserver(watch)
    try:
        yield
        # A lost Deferred speaks when it is collected.
        gc.collect()
    finally:
        globalLogPublisher.removeObserver(watch)
    left = [call for call in _delayed_calls() if call not in before]
    for call in left:
        call.cancel()
    assert not failures, "logged during this test:\n" + "\n".join(failures)
    assert not left, f"delayed calls left behind: {left}"


def _delayed_calls() -> list[Any]:
    return list(reactor.getDelayedCalls())  # type: ignore[attr-defined]
