"""
The core as a whole: it starts, says what is wrong in one line, finishes what is in hand, and starts again.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from pinggy.core.config import DatabaseSettings, ListenSettings
from pinggy.core.entry_settings import EntrySettings
from pinggy.core.ledger import LedgerError
from pinggy.core.managed_postgres import ManagedPostgres
from pinggy.core.migrations import Migration, load_migrations, migrate
from pinggy.core.pool import Pool
from pinggy.core.service import make_core
from pinggy.dns.config import ZoneSettings
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.edge.http_core_client import HttpCoreClient
from pinggy.settings import Secret, SettingsError
from pinggy.tunnel.refusals import CoreAway
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Authorize, Nobody, Renew, Usage, Want
from tests.support.cores import OverHttp, settings_for, token_of
from tests.support.postgres import QUICK, Databases, execute

asynchronous = pytest_twisted.ensureDeferred


@asynchronous
async def test_it_starts_on_an_empty_database_and_again_on_its_own(postgres: Databases) -> None:
    url = postgres.new()
    for _ in range(2):
        core = await OverHttp.start(url)
        await core.operator.ensure_account("ann")
        assert [each.name for each in (await core.operator.accounts()).accounts] == ["ann"]
        await core.stop()


@asynchronous
async def test_a_restart_on_the_same_port_is_not_noticed_by_its_edges(database: Secret) -> None:
    core = await OverHttp.start(database)
    edge = await core.edge()
    message = Authorize(
        tunnel="1" * 32, credential=Nobody(), address="192.0.2.1", wants=(Want(number=1, kind=Kind.HTTP),)
    )
    before = await edge.authorize(message)
    port = core.service.port
    await core.service.stopService()
    with pytest.raises(CoreAway):
        await edge.renew(Renew(instance="i", tunnels=()))
    again = await OverHttp.start(database, listen=ListenSettings(port=port))
    assert (await edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=message.tunnel),)))).lost == ()
    assert (await edge.authorize(message)).results == before.results
    await edge.close()
    await again.stop()


@asynchronous
async def test_a_stop_answers_what_is_in_hand(database: Secret) -> None:
    core = await OverHttp.start(database)
    edge = await core.edge()
    calls = [edge.renew(Renew(instance="i", tunnels=())) for _ in range(8)]
    await calls[0]
    await core.stop()
    for call in calls[1:]:
        try:
            assert (await call).lost == ()
        except CoreAway:
            # It had not come so far.
            continue


@asynchronous
async def test_a_port_in_use_names_the_setting(database: Secret) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        core = make_core(reactor, settings_for(database, listen=ListenSettings(port=port)))
        asked_before: Deferred[None] = core.ready()
        core.startService()
        with pytest.raises(SettingsError, match=rf"core\.listen\.port = {port}.*127\.0\.0\.1.*in use"):
            await asked_before
        with pytest.raises(SettingsError):
            await core.ready()
        await core.stopService()


@asynchronous
async def test_an_entry_at_the_host_of_a_region_names_the_setting(database: Secret) -> None:
    before = await OverHttp.start(database)
    await before.edge("eu-1", "eu")
    await before.stop()
    server = PowerDnsServer(url="http://127.0.0.1:9", dns="127.0.0.1:9")
    changes = {"entry": EntrySettings(kind="lua", name="eu"), "zone": ZoneSettings(servers=(server,))}
    core = make_core(reactor, settings_for(database, **changes))
    core.startService()
    with pytest.raises(SettingsError, match=r"core\.entry\.name is of no use: eu\.a\.example is the host of a region"):
        await core.ready()
    await core.stopService()


@asynchronous
async def test_a_database_that_is_away_names_the_setting_without_its_password() -> None:
    url = Secret("postgresql://pinggy:hidden@127.0.0.1:1/none")
    core = make_core(reactor, settings_for(url, database=DatabaseSettings(url=url, patience=0.1)))
    core.startService()
    with pytest.raises(SettingsError, match=r"core\.database\.url .*127\.0\.0\.1:1: .*refused") as caught:
        await core.ready()
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)
    await core.stopService()


@asynchronous
async def test_a_core_that_is_stopped_before_it_is_ready_stops() -> None:
    url = Secret("postgresql://pinggy:hidden@127.0.0.1:1/none")
    core = make_core(reactor, settings_for(url, database=DatabaseSettings(url=url, patience=60.0)))
    core.startService()
    ready = core.ready()
    await core.stopService()
    with pytest.raises(SettingsError):
        await ready


def test_a_url_that_is_none_names_the_setting() -> None:
    with pytest.raises(SettingsError, match=r"core\.database\.url is not a PostgreSQL URL"):
        make_core(reactor, settings_for(Secret("mysql hidden")))


@asynchronous
async def test_it_is_not_ready_while_its_database_is_away(tmp_path: Path) -> None:
    server = ManagedPostgres(reactor, tmp_path, settings=QUICK)
    url = await server.start()
    core = await OverHttp.start(url, database=DatabaseSettings(url=url, patience=0.1))
    secret = Secret("the secret of the edge local")
    edge = await core.edge()
    await server.stop()
    for path, status in (("/healthz", 200), ("/readyz", 503)):
        response = await treq.get(core.service.url + path, persistent=False)
        assert response.code == status
        await treq.content(response)
    with pytest.raises(CoreAway):
        await edge.renew(Renew(instance="i", tunnels=()))
    assert isinstance(core.client(secret), HttpCoreClient)
    await core.stop()


@asynchronous
async def test_migrations_are_applied_once_in_order_by_one_at_a_time(postgres: Databases) -> None:
    pool = Pool(reactor, postgres.new(), size=4, statement_timeout=10, patience=10)
    first = Migration(number=1, sql="CREATE TABLE steps (at serial, step int); INSERT INTO steps (step) VALUES (1)")
    second = Migration(number=2, sql="INSERT INTO steps (step) VALUES (2)")
    try:
        counts = [migrate(pool, (first,)) for _ in range(4)]
        assert sorted([await count for count in counts]) == [0, 0, 0, 1]
        assert await migrate(pool, (first, second)) == 1
        with pytest.raises(LedgerError, match="newer than this core"):
            await migrate(pool, (first,))
    finally:
        await pool.close()


def test_the_migrations_that_come_along_are_numbered_without_gaps() -> None:
    numbers = [each.number for each in load_migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


@asynchronous
async def test_secrets_are_in_the_database_as_digests_only(database: Secret) -> None:
    core = await OverHttp.start(database)
    token = await token_of(core, "ann")
    await core.edge()
    await core.stop()
    rows = execute(database, "SELECT tokens::text FROM tokens") + execute(database, "SELECT edges::text FROM edges")
    said = str(rows)
    assert token.reveal() not in said
    assert token.reveal()[11:39] not in said
    assert "the secret of" not in said
