"""What every daemon does alike."""

from __future__ import annotations

import gc
from collections.abc import Callable

from pinggy.daemon import spare_what_stays


class Starting:
    """A reactor that has not started yet."""

    def __init__(self) -> None:
        self.first: list[Callable[[], object]] = []

    def callWhenRunning(self, call: Callable[[], object]) -> None:
        self.first.append(call)


def test_what_is_there_when_the_reactor_starts_is_not_collected_again() -> None:
    reactor = Starting()
    spare_what_stays(reactor)
    loaded = {"kept": [object()]}
    assert any(each is loaded for each in gc.get_objects())
    (start,) = reactor.first
    start()
    assert not any(each is loaded for each in gc.get_objects())
