"""
The core with TLS: edges elsewhere reach it, and believe nobody else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from pinggy.core.config import ListenSettings
from pinggy.core.service import make_core
from pinggy.edge.local_ca import LocalCertificate, ensure_local_certificate
from pinggy.settings import Secret, SettingsError
from pinggy.trust import trust
from pinggy.tunnel.refusals import CoreAway
from pinggy.wire import paths
from pinggy.wire.codec import LONGEST_BODY
from pinggy.wire.messages import Register
from tests.support.cores import OverHttp, settings_for

asynchronous = pytest_twisted.ensureDeferred


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> LocalCertificate:
    return ensure_local_certificate(tmp_path_factory.mktemp("tls"), "a.localhost", datetime.now(UTC))


@pytest_twisted.async_yield_fixture
async def core(database: Secret, certificate: LocalCertificate) -> AsyncIterator[OverHttp]:
    listen = ListenSettings(port=0, certificate=certificate.certificate, key=certificate.key)
    core = await OverHttp.start(database, listen=listen)
    core.ca = certificate.ca
    yield core
    await core.stop()


@asynchronous
async def test_an_edge_that_knows_the_authority_is_served(core: OverHttp) -> None:
    assert core.service.url.startswith("https://127.0.0.1:")
    edge = await core.edge("e1")
    assert (await edge.register(Register(instance="i"))).edge == "e1"


@asynchronous
async def test_an_edge_that_does_not_know_it_says_nothing(core: OverHttp) -> None:
    core.ca = None
    edge = await core.edge("e1")
    with pytest.raises(CoreAway):
        await edge.register(Register(instance="i"))


class _Reader(Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.closed: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed.callback(self.received)


@asynchronous
async def test_a_body_that_is_too_long_is_refused_through_tls(core: OverHttp) -> None:
    port = core.service.port
    believing = trust(core.ca).creatorForNetloc(b"127.0.0.1", port)
    reader = await connectProtocol(wrapClientTLS(believing, HostnameEndpoint(reactor, "127.0.0.1", port)), _Reader())
    transport: Any = reader.transport
    transport.write(f"POST {paths.RENEW} HTTP/1.1\r\nHost: x\r\nContent-Length: {LONGEST_BODY + 1}\r\n\r\n".encode())
    assert (await reader.closed).startswith(b"HTTP/1.1 413 ")


def test_a_certificate_of_no_use_names_the_setting(tmp_path: Path) -> None:
    listen = ListenSettings(port=0, certificate=tmp_path / "none", key=tmp_path / "none")
    with pytest.raises(SettingsError, match=r"core\.listen\.certificate is of no use: .*none cannot be read"):
        make_core(reactor, settings_for(Secret("postgresql:///none"), listen=listen))
