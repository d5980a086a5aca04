"""
``twistd pinggy-zone``: the command line, and the only file of this folder that knows the reactor.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.python.usage import Options as UsageOptions

from pinggy.daemon import give_up, made, spare_what_stays, stop_when_asked
from pinggy.gate.config import GateFile
from pinggy.gate.service import GateService
from pinggy.settings import SettingsError, load


class Options(UsageOptions):
    optParameters = [["config", "c", None, "the settings file (TOML; etc/zone.toml explains every one)"]]


def makeService(options: Options) -> IService:
    gate = made(lambda: GateService(reactor, _settings(options).zone, partial(give_up, reactor)))
    stop_when_asked(reactor)
    spare_what_stays(reactor)
    return gate


def _settings(options: Options) -> GateFile:
    if options["config"] is None:
        raise SettingsError("The gate needs its settings: --config FILE, as etc/zone.toml explains.")
    return load(GateFile, Path(options["config"]))
