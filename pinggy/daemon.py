"""
What every daemon does alike under twistd: one clear line where it cannot run, status 0 where it is asked to stop.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

from pinggy.settings import SettingsError

T = TypeVar("T")
log = Logger()


def made(make: Callable[[], T]) -> T:
    """What *make* returns; its `SettingsError` becomes one line on stderr and exit status 1."""
    try:
        return make()
    except SettingsError as error:
        last_line(str(error))
        raise SystemExit(1) from None


def last_line(text: str) -> None:
    # Not sys.stderr: twistd sends that to the log.
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"pinggy: {' '.join(text.split())}\n")
        sys.__stderr__.flush()


def say(text: str) -> None:
    """Print *text* where a person reads it."""
    if sys.__stdout__ is not None:
        sys.__stdout__.write(text)
        sys.__stdout__.flush()


def stop_when_asked(reactor: Any, drain: Callable[[], Deferred[None]] | None = None) -> None:
    """
    To be stopped is success, status 0, where twistd would die of the signal.

    With *drain* the first SIGTERM lets people go first: the process stops when its Deferred fires. Any signal after it,
    and SIGINT, stops at once.
    """
    asked: list[int] = []

    def received(number: int) -> None:
        asked.append(number)
        if drain is not None and asked == [signal.SIGTERM]:
            drain().addErrback(lambda failure: log.failure("draining broke", failure)).addCallback(
                lambda _: _stop(reactor)
            )
        else:
            _stop(reactor)

    def watch() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: reactor.callFromThread(received, number))

    reactor.callWhenRunning(watch)


def spare_what_stays(reactor: Any) -> None:
    """
    What is there when *reactor* starts is there to the end: the garbage collector is not to go through it again and
    again, some 60,000 objects, while all visitors wait for 35 ms.
    """
    reactor.callWhenRunning(_freeze)


def give_up(reactor: Any, text: str) -> None:
    """A service that was started will never run: print *text* as one line, stop, and end with status 1."""
    last_line(text)
    # twistd has no exit status for a service that fails after the reactor has started: this is its last act instead.
    atexit.register(os._exit, 1)
    reactor.callWhenRunning(_stop, reactor)


def _freeze() -> None:
    # What is garbage by now would stay too.
    gc.collect()
    gc.freeze()


def _stop(reactor: Any) -> None:
    # Who asks twice is stopped once.
    with suppress(ReactorNotRunning):
        reactor.stop()
