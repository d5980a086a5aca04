"""
Real programs against a real service. Most tests share one; those that stop or break it start their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.local_servers import WebServer, web_server
from tests.support.service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The one that tests share: leave it as you found it, and use names of your own."""
    running = Service(tmp_path_factory.mktemp("service"))
    running.start()
    yield running
    assert running.stop() == 0
    assert running.failures() == []


@pytest.fixture
def new_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services of a test's own (not started); whatever still runs at its end is stopped."""
    made: list[Service] = []

    def make(settings: str = "", limits: str = "", listen: str = "") -> Service:
        folder = tmp_path / f"service{len(made)}"
        folder.mkdir()
        made.append(Service(folder, settings, limits, listen))
        return made[-1]

    yield make
    for each in made:
        if each.process is not None and each.process.poll() is None:
            each.stop()


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    """A local server, for clients to offer."""
    with web_server() as server:
        yield server
