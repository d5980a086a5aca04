"""
``twistd pinggy-edge``: the command line, and the only file of this folder that knows the reactor.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.python.usage import Options as UsageOptions

from pinggy.daemon import give_up, made, spare_what_stays, stop_when_asked
from pinggy.edge.config import EdgeSettings
from pinggy.edge.daemon import EdgeDaemon
from pinggy.settings import SettingsError, load


class Options(UsageOptions):
    optParameters = [["config", "c", None, "the settings file (TOML; etc/edge.toml explains every one)"]]


def makeService(options: Options) -> IService:
    service = made(lambda: EdgeDaemon(reactor, _settings(options), partial(give_up, reactor)))
    stop_when_asked(reactor, service.drain)
    spare_what_stays(reactor)
    return service


def _settings(options: Options) -> EdgeSettings:
    if options["config"] is None:
        raise SettingsError("The edge needs its settings: --config FILE, as etc/edge.toml explains.")
    return load(EdgeSettings, Path(options["config"]))
