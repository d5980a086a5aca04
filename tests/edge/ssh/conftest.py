from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.edges import EdgeInMemory


@pytest.fixture
def edge() -> Iterator[EdgeInMemory]:
    made = EdgeInMemory()
    yield made
    made.close()
