"""
``twistd pinggy-edge``: the command line, and the only file of this folder that knows the reactor.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.python.usage import Options as UsageOptions

from pinggy.daemon import give_up, made, stop_when_asked
from pinggy.edge.config import EdgeSettings
from pinggy.edge.daemon import EdgeDaemon
from pinggy.settings import load


class Options(UsageOptions):
    optParameters = [["config", "c", "/etc/pinggy/edge.toml", "the settings file (TOML; etc/edge.toml explains them)"]]


def makeService(options: Options) -> IService:
    service = made(lambda: EdgeDaemon(reactor, load(EdgeSettings, Path(options["config"])), partial(give_up, reactor)))
    stop_when_asked(reactor)
    return service
