"""
``twistd pinggy``: the command line, and the only file of this folder that knows the reactor.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.python.usage import Options as UsageOptions

from pinggy.daemon import give_up, made, say, spare_what_stays, stop_when_asked
from pinggy.settings import load, parse
from pinggy.together.config import Settings
from pinggy.together.service import Together


class Options(UsageOptions):
    """Every setting has a default: no file is needed."""

    optParameters = [
        ["config", "c", None, "the settings file (TOML; etc/pinggy.toml explains every one)"],
        ["state", "s", None, "the state folder, instead of the setting of that name"],
    ]


def makeService(options: Options) -> IService:
    together = made(lambda: Together(reactor, _settings(options), _log_file(), say, partial(give_up, reactor)))
    stop_when_asked(reactor)
    spare_what_stays(reactor)
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
