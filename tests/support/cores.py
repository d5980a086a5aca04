"""
Cores for the contract suite: the one in memory, and the real one behind HTTP over a real PostgreSQL.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import reactor
from twisted.internet.task import Clock

from pinggy.core.config import CoreSettings, DatabaseSettings, ListenSettings
from pinggy.core.doctor.doctor import Doctor
from pinggy.core.drain import Drains
from pinggy.core.operator import Operator
from pinggy.core.records import Records
from pinggy.core.relay_ca import ensure_relay_authority
from pinggy.core.service import CoreService, make_core
from pinggy.core.sweep import Sweep
from pinggy.edge.core_client import CoreClient
from pinggy.edge.http_core_client import HttpCoreClient
from pinggy.settings import Secret
from pinggy.testing.core import FakeCore
from pinggy.wire import operator as office
from tests.support.postgres import execute

KEY = Secret("the operator's key of the tests")


class Core(Protocol):
    """What the suite needs of either."""

    @property
    def operator(self) -> Operator: ...

    @property
    def drains(self) -> Drains: ...

    @property
    def sweep(self) -> Sweep: ...

    @property
    def records(self) -> Records: ...

    @property
    def doctor(self) -> Doctor: ...

    async def edge(self, name: str = "local", region: str = "local") -> CoreClient: ...

    def age(self, seconds: float) -> None:
        """Let *seconds* pass in the ledger."""
        ...

    def elapse(self, seconds: float) -> None:
        """What waits may wait for *seconds*: where time is real, that is nothing to be done."""
        ...


def settings_for(url: Secret, **changes: Any) -> CoreSettings:
    return CoreSettings(
        **{
            "domain": "a.example",
            "operator_key": KEY,
            "database": DatabaseSettings(url=url, pool=4, patience=10.0),
            "listen": ListenSettings(port=0),
            "kept_names": ("status",),
            **changes,
        }
    )


class InMemory:
    def __init__(self, key: Ed25519PrivateKey | None = None, *, in_doubt: bool = False, **changes: Any) -> None:
        self._clock = Clock()
        settings = settings_for(Secret("postgresql://nowhere"), **changes)
        path = settings.relay_ca
        authority = None if path is None else ensure_relay_authority(path, datetime.now(UTC))
        self._core = FakeCore(self._clock, settings, key, authority)
        self._core.ledger.in_doubt = in_doubt
        self.operator = self._core.operator
        self.drains = self._core.drains
        self.sweep = self._core.sweep
        self.records = self._core.records
        self.doctor = self._core.doctor

    async def edge(self, name: str = "local", region: str = "local") -> CoreClient:
        return self._core.client(name, region)

    def age(self, seconds: float) -> None:
        self._clock.advance(seconds)

    def elapse(self, seconds: float) -> None:
        self._clock.pump([0.1] * round(10 * seconds))


class OverHttp:
    def __init__(self, service: CoreService, url: Secret) -> None:
        self.service = service
        self.operator = service.operator
        self.drains = service.drains
        self.sweep = service.sweep
        self.records = service.records
        self.doctor = service.doctor
        self._url = url
        self.ca: Path | None = None
        self._clients: list[HttpCoreClient] = []

    @classmethod
    async def start(cls, url: Secret, **changes: Any) -> OverHttp:
        service = make_core(reactor, settings_for(url, **changes))
        service.startService()
        await service.ready()
        return cls(service, url)

    async def stop(self) -> None:
        for client in self._clients:
            await client.close()
        await self.service.stopService()

    async def edge(self, name: str = "local", region: str = "local") -> HttpCoreClient:
        secret = Secret(f"the secret of the edge {name}")
        await self.operator.ensure_edge(name, region, ("127.0.0.1",), secret)
        return self.client(secret)

    def client(self, secret: Secret) -> HttpCoreClient:
        client = HttpCoreClient(reactor, self.service.url, secret, ca=self.ca)
        self._clients.append(client)
        return client

    def elapse(self, seconds: float) -> None:
        pass

    def age(self, seconds: float) -> None:
        passed = f"interval '{seconds} seconds'"
        execute(
            self._url,
            f"UPDATE tunnels SET lease = lease - {passed}, expires = expires - {passed}, started = started - {passed};"
            f"UPDATE ended_tunnels SET started = started - {passed}, ended = ended - {passed};"
            f"UPDATE edges SET seen = seen - {passed};"
            f"UPDATE forwardings SET started = started - {passed};"
            f"UPDATE early_releases SET at = at - {passed}",
        )


async def token_of(core: Core, account: str, *, names: tuple[str, ...] = (), ports: tuple[int, ...] = ()) -> Secret:
    """A token of *account*, with these reservations."""
    await core.operator.ensure_account(account)
    for name in names:
        await core.operator.ensure_name(account, name)
    for port in ports:
        await core.operator.reserve_port(office.ReservePort(account=account, port=port))
    return (await core.operator.add_token(office.AddToken(account=account))).token
