"""
The GeoIP file that gates ask for: who gets it, when it is another one, and what becomes of a database that is none.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import maxminddb
import pytest_twisted
import treq
from twisted.web.http_headers import Headers

from pinggy.core.entry_settings import EntrySettings
from pinggy.dns.config import ZoneSettings
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.settings import Secret
from pinggy.wire import paths
from pinggy.wire.doctor import Finding, State
from pinggy.wire.operator import AddEdge
from tests.support.cores import KEY, OverHttp
from tests.support.logs import logged
from tests.support.nearest import make_database, until

asynchronous = pytest_twisted.ensureDeferred
OF_GATE, OF_POWERDNS = Secret("the read_key of a gate"), Secret("the api-key of PowerDNS")
SERVERS = (
    PowerDnsServer(url="http://127.0.0.1:9", dns="127.0.0.1:9", key=OF_GATE),
    PowerDnsServer(url="http://127.0.0.1:9", dns="127.0.0.2:9", key=OF_POWERDNS, gate=False),
)


async def start(url: Secret, city: Path) -> OverHttp:
    entry = EntrySettings(kind="lua", database=city)
    return await OverHttp.start(url, zone=ZoneSettings(servers=SERVERS), entry=entry)


async def fetch(core: OverHttp, key: Secret = OF_GATE, tag: str | None = None) -> tuple[int, bytes, str]:
    headers = {"Authorization": [f"Bearer {key.reveal()}"], **({} if tag is None else {"If-None-Match": [tag]})}
    answer = await treq.get(core.service.url + paths.GEO, headers=Headers(headers), persistent=False)
    (found,) = answer.headers.getRawHeaders("ETag", [""])
    return answer.code, await treq.content(answer), found


async def made(core: OverHttp, other_than: str = "") -> tuple[bytes, str]:
    """The file, as soon as there is one, *other_than* that of the tag."""
    with logged("pinggy.core.geo") as lines:
        status, body, tag = await fetch(core)
        while status != 200 or tag == other_than:
            assert status in (200, 503)
            await until(partial(_more, lines, len(lines)), lambda: lines)
            status, body, tag = await fetch(core)
    return body, tag


async def entry_of(core: OverHttp) -> Finding:
    """What the doctor finds of the entry."""
    sections = (await core.service.doctor.all()).sections
    return next(each for section in sections for each in section.findings if each.check == "entry")


def _more(lines: list[str], seen: int) -> bool:
    return len(lines) > seen


@asynchronous
async def test_gates_get_it_and_only_where_it_is_another_one(database: Secret, tmp_path: Path) -> None:
    core = await start(database, make_database(tmp_path / "city.mmdb"))
    try:
        first, tag = await made(core)
        assert await fetch(core, tag=tag) == (304, b"", tag)
        await core.operator.add_edge(
            AddEdge(name="eu-1", region="eu", addresses=("127.0.1.1",), latitude=53.0, longitude=-6.0)
        )
        second, other = await made(core, tag)
        assert (await fetch(core, tag=tag))[0] == 200
        (tmp_path / "fetched.mmdb").write_bytes(second)
        with maxminddb.open_database(tmp_path / "fetched.mmdb") as reader:
            record: Any = reader.get("127.0.1.1")
            assert record["location"]["latitude"] == 53.0
            assert reader.get("198.51.100.1") is not None
        assert first != second
        for key in (KEY, OF_POWERDNS, Secret("x")):
            assert (await fetch(core, key, other))[0] == 401
    finally:
        await core.stop()


@asynchronous
async def test_a_database_that_is_none_is_said_and_costs_nothing_else(database: Secret, tmp_path: Path) -> None:
    broken = tmp_path / "city.mmdb"
    broken.write_bytes(b"GIF89a")
    with logged("pinggy.core.geo") as lines:
        core = await start(database, broken)
        try:
            await until(lambda: bool(lines), lambda: lines)
            assert "is no database in MaxMind's form" in lines[0]
            status, said, _ = await fetch(core)
            assert (status, b"geo-not-made" in said) == (503, True)
            assert (await entry_of(core)).state is State.WRONG
            make_database(broken)
            # Looked at when something changes, and now and then.
            await core.operator.ensure_edge("eu-1", "eu", ("127.0.1.1",), Secret("the secret of the edge"))
            await made(core)
            assert (await entry_of(core)).state is State.WELL
        finally:
            await core.stop()


@asynchronous
async def test_without_the_setting_there_is_none(database: Secret) -> None:
    core = await OverHttp.start(database, zone=ZoneSettings(servers=SERVERS))
    try:
        assert (await fetch(core))[0] == 404
    finally:
        await core.stop()
