from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pinggy.edge.local_ca import LocalCertificate, ensure_local_certificate


@pytest.fixture(scope="session")
def own_certificate(tmp_path_factory: pytest.TempPathFactory) -> LocalCertificate:
    """Of somebody's own server behind a tunnel, by an authority that nobody knows."""
    return ensure_local_certificate(tmp_path_factory.mktemp("own"), "own.example", datetime.now(UTC))
