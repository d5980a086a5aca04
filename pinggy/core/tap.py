"""
``twistd pinggy-core``: the command line, and the only file of this folder that knows the reactor.
"""

from __future__ import annotations

from pathlib import Path

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions

from pinggy.core.config import CoreFile
from pinggy.core.service import make_core
from pinggy.daemon import give_up, made, spare_what_stays, stop_when_asked
from pinggy.settings import SettingsError, load

log = Logger()


class Options(UsageOptions):
    optParameters = [["config", "c", None, "the settings file (TOML; etc/core.toml explains every one)"]]


def makeService(options: Options) -> IService:
    core = made(lambda: make_core(reactor, _settings(options).core))
    core.ready().addErrback(_not_ready)
    stop_when_asked(reactor)
    spare_what_stays(reactor)
    return core


def _settings(options: Options) -> CoreFile:
    if options["config"] is None:
        raise SettingsError("The core needs its settings: --config FILE, as etc/core.toml explains.")
    return load(CoreFile, Path(options["config"]))


def _not_ready(failure: Failure) -> None:
    if failure.check(SettingsError):
        give_up(reactor, failure.getErrorMessage())
        return
    log.failure("starting broke", failure)
    give_up(reactor, f"Something broke inside; the log has the details ({type(failure.value).__name__}).")
