"""
What every test is held to: no logged failure, no Deferred whose error nobody took, no delayed call left behind.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator, Iterator
from typing import Any

import hypothesis
import pytest
from twisted.internet import reactor
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

# Time is not asserted here: a slow machine must not turn a test red.
# No explanation of what in a failing example counts: for it each try of the shrinking is traced line by line, and a
# failure that is told in ten seconds otherwise is told after five minutes.
_PHASES = tuple(phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain)
hypothesis.settings.register_profile("pinggy", deadline=None, database=None, phases=_PHASES)
hypothesis.settings.load_profile("pinggy")

# The generations that hold what was made since the last collection, and what survived one.
_YOUNG = 1


def pytest_sessionstart(session: pytest.Session) -> None:
    """The first Ctrl-C ends the run after the test in hand, and what was started is stopped; the second ends it now."""

    def stop(number: int, frame: object) -> None:
        session.shouldstop = "interrupted"
        signal.signal(signal.SIGINT, signal.default_int_handler)

    # As an exception, the reactor would take it for an error of whoever it called just then, and go on.
    signal.signal(signal.SIGINT, stop)


def pytest_collection_finish() -> None:
    """
    What is imported by now stays: no collection need look at it again. From here on they come when a test is over: what
    it made is young until then, and found without a look at all that there is, which would cost more than most tests.
    """
    gc.collect()
    gc.freeze()
    gc.disable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a real program that is missing is a failure: nothing is passed over in silence there."""
    report = yield
    if os.environ.get("CI") and report.skipped and "is not installed" in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was not run: {report.longrepr}"
    return report


@implementer(ILogObserver)
class FailureWatch:
    """Collects every failure that anybody logs."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level")
        if level in (LogLevel.error, LogLevel.critical) or event.get("isError"):
            failure = event.get("log_failure")
            trace = failure.getTraceback() if failure else ""
            self.failures.append(f"{formatEvent(event)}\n{trace}")


@pytest.fixture(autouse=True)
def nothing_is_lost() -> Iterator[list[str]]:
    """Gives what was logged so far: a test that expects a failure takes it off the list."""
    watch = FailureWatch()
    before = set(_delayed_calls())
    globalLogPublisher.addObserver(watch)
    try:
        yield watch.failures
        # A lost Deferred speaks when it is collected.
        gc.collect(_YOUNG)
    finally:
        globalLogPublisher.removeObserver(watch)
    left = [call for call in _delayed_calls() if call not in before]
    for call in left:
        call.cancel()
    assert not watch.failures, "logged during this test:\n" + "\n".join(watch.failures)
    assert not left, f"delayed calls left behind: {left}"


@pytest.fixture(autouse=True, scope="module")
def nothing_is_lost_later() -> Iterator[None]:
    """What a test lost that was made before it, as by a fixture of its module."""
    yield
    watch = FailureWatch()
    globalLogPublisher.addObserver(watch)
    gc.collect()
    globalLogPublisher.removeObserver(watch)
    assert not watch.failures, "lost by a test of this module:\n" + "\n".join(watch.failures)


def _delayed_calls() -> list[Any]:
    return list(reactor.getDelayedCalls())
