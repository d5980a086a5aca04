"""
``twistd pinggy``: the command line, and the only file of this folder that knows the reactor.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.usage import Options as UsageOptions

from pinggy.settings import SettingsError, load, parse
from pinggy.together.config import Settings
from pinggy.together.service import Together


class Options(UsageOptions):
    """Every setting has a default: no file is needed."""

    optParameters = [
        ["config", "c", None, "the settings file (TOML; etc/pinggy.toml explains every one)"],
        ["state", "s", None, "the state folder, instead of the setting of that name"],
    ]


def makeService(options: Options) -> IService:
    try:
        together = Together(reactor, _settings(options), _log_file(), _say, _give_up)
    except SettingsError as error:
        _last_line(str(error))
        raise SystemExit(1) from None
    reactor.callWhenRunning(_stop_when_asked)
    return together


def _settings(options: Options) -> Settings:
    settings = parse(Settings, {}) if options["config"] is None else load(Settings, Path(options["config"]))
    if options["state"] is None:
        return settings
    values: dict[str, Any] = {name: getattr(settings, name) for name in Settings.__slots__}
    return Settings(**(values | {"state": Path(options["state"])}))


def _log_file() -> Path | None:
    """Where twistd writes the log: it keeps that to itself, so its arguments are read."""
    for index, word in enumerate(sys.argv):
        if word.startswith("--logfile="):
            return Path(word.removeprefix("--logfile=")).absolute()
        if word in ("-l", "--logfile") and index + 1 < len(sys.argv):
            return Path(sys.argv[index + 1]).absolute()
    return None


def _say(text: str) -> None:
    # Not sys.stdout: twistd sends that to the log.
    if sys.__stdout__ is not None:
        sys.__stdout__.write(text)
        sys.__stdout__.flush()


def _last_line(text: str) -> None:
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"pinggy: {' '.join(text.split())}\n")
        sys.__stderr__.flush()


def _stop_when_asked() -> None:
    """To be stopped is success, status 0, where twistd would die of the signal."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: cast(IReactorFromThreads, reactor).callFromThread(_stop))


def _give_up(text: str) -> None:
    _last_line(text)
    # twistd has no exit status for a service that fails after the reactor has started: this is its last act instead.
    atexit.register(os._exit, 1)
    reactor.callWhenRunning(_stop)


def _stop() -> None:
    # Who asks twice is stopped once.
    with suppress(ReactorNotRunning):
        reactor.stop()
