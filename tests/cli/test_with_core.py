"""
The installed command against the real core over the real PostgreSQL.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import pytest_twisted
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from pinggy.core.config import CoreSettings, DatabaseSettings, ListenSettings
from pinggy.core.service import make_core
from pinggy.edge.http_core_client import HttpCoreClient
from pinggy.gate.config import parse_grant_key
from pinggy.settings import Secret
from pinggy.tunnel.request import Kind
from pinggy.tunnel.token import parse_token
from pinggy.wire.messages import Authorize, ByToken, Live, Register, Want
from tests.cli.conftest import Outcome
from tests.cli.fake_core import KEY

PINGGY = str(Path(sys.executable).with_name("pinggy"))
LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDU5ZDhmYjQwNjQ3YzE5NTk4ZmYwYjQ5MjA0YTAxMmYw me@laptop"


@dataclass(frozen=True, slots=True)
class Installed:
    """The command, beside a core that has written its state *folder*."""

    folder: Path

    async def __call__(self, *words: str) -> Outcome:
        out, err, status = await getProcessOutputAndValue(
            PINGGY, (*words, "--state", str(self.folder)), env={}, reactor=reactor
        )
        return Outcome(status, out.decode(), err.decode())

    async def listed(self, *words: str) -> list[list[str]]:
        """The rows of a list, without its titles, split into words."""
        outcome = await self(*words)
        assert outcome.status == 0, outcome.err
        return [line.split() for line in outcome.out.splitlines()[1:]]

    @property
    def core_url(self) -> str:
        return (self.folder / "core.url").read_text()


@pytest_twisted.async_yield_fixture
async def pinggy(tmp_path: Path, database: Secret) -> AsyncIterator[Installed]:
    settings = CoreSettings(
        domain="a.example",
        operator_key=Secret(KEY),
        database=DatabaseSettings(url=database, pool=2),
        listen=ListenSettings(port=0),
        grant_key=tmp_path / "grant.pem",
    )
    core = make_core(reactor, settings)
    core.startService()
    await core.ready()
    (tmp_path / "operator.key").write_text(KEY)
    (tmp_path / "core.url").write_text(core.url)

    yield Installed(tmp_path)
    await core.stopService()


@pytest_twisted.ensureDeferred
async def test_accounts_and_what_they_have(pinggy: Installed) -> None:
    assert (await pinggy("account", "list")).err.startswith("There are no accounts yet")
    refused = await pinggy("token", "add", "me")
    assert (refused.status, refused.out, refused.err) == (1, "", "pinggy: There is no account me.\n")
    assert (await pinggy("account", "add", "me")).status == 0
    assert (await pinggy("account", "add", "me")).status == 1

    added = await pinggy("token", "add", "me", "--comment", "my laptop")
    token = parse_token(added.out.removesuffix("\n"))
    assert token is not None
    ((prefix, *_),) = await pinggy.listed("token", "list", "--account", "me")
    assert prefix == token.prefix
    assert (await pinggy("token", "revoke", prefix)).status == 0
    assert "-" not in (await pinggy.listed("token", "list"))[0]

    (pinggy.folder / "id.pub").write_text(LINE)
    added = await pinggy("key", "add", "me", str(pinggy.folder / "id.pub"))
    assert (added.status, added.err) == (0, "Key me@laptop is registered for account me.\n")
    ((fingerprint, *_),) = await pinggy.listed("key", "list")
    assert added.out == f"{fingerprint}\n"
    assert re.fullmatch("SHA256:[A-Za-z0-9+/]{43}", fingerprint)
    assert (await pinggy("key", "revoke", fingerprint)).status == 0
    assert await pinggy.listed("key", "list") == []

    assert (await pinggy("name", "reserve", "me", "blog")).status == 0
    assert "belongs to the service" in (await pinggy("name", "reserve", "me", "www")).err
    assert (await pinggy.listed("name", "list"))[0][:2] == ["blog", "me"]
    assert (await pinggy("name", "release", "blog")).status == 0
    assert (await pinggy("name", "release", "blog")).status == 1

    port = (await pinggy("port", "reserve", "me")).out.strip()
    assert (await pinggy.listed("port", "list", "--account", "me"))[0][:2] == [port, "me"]
    assert (await pinggy("port", "release", port)).status == 0
    assert (await pinggy.listed("account", "list"))[0][:4] == ["me", "0", "0", "0"]


@pytest_twisted.ensureDeferred
async def test_edges_and_tunnels(pinggy: Installed) -> None:
    added = await pinggy("edge", "add", "eu1", "--region", "eu", "--address", "192.0.2.1", "--secret-only")
    assert added.status == 0, added.err
    assert (await pinggy.listed("edge", "list"))[0][:5] == ["eu1", "eu", "-", "0", "-"]
    await pinggy("account", "add", "me")
    token = Secret((await pinggy("token", "add", "me")).out.strip())

    edge = HttpCoreClient(reactor, pinggy.core_url, Secret(added.out.strip()))
    await edge.register(Register(instance="first"))
    tunnel = token_hex(16)
    wants = (Want(number=1, kind=Kind.HTTP, name="blog"),)
    credential = ByToken(token=token)
    await edge.authorize(Authorize(tunnel=tunnel, credential=credential, address="127.0.0.9", wants=wants))
    row = (await pinggy.listed("tunnel", "list"))[0]
    assert row[:5] == [tunnel[:8], "me", "eu1", "127.0.0.9", "opening"]
    assert row[-2:] == ["http", "blog"]
    await edge.live(Live(tunnel=tunnel, numbers=(1,)))
    assert (await pinggy.listed("tunnel", "list", "--account", "me"))[0][4] == "live"

    assert (await pinggy("tunnel", "close", tunnel[:7])).err == f"Tunnel {tunnel} is closed.\n"
    assert await pinggy.listed("tunnel", "list") == []
    assert "closed-by-operator" in (await pinggy.listed("tunnel", "list", "--history"))[0]
    assert (await pinggy("tunnel", "close", tunnel)).status == 1
    await edge.close()


@pytest_twisted.ensureDeferred
async def test_the_zone(pinggy: Installed) -> None:
    assert (await pinggy("zone", "show")).err == "Nothing of tunnels or edges should stand in the zone a.example.\n"
    await pinggy("edge", "add", "eu1", "--region", "eu", "--address", "192.0.2.1", "2001:db8::1")
    rows = await pinggy.listed("zone", "show")
    assert sorted((row[0], row[1], row[2], row[4]) for row in rows) == [
        ("eu.a.example", "A", "192.0.2.1", "region"),
        ("eu.a.example", "AAAA", "2001:db8::1", "region"),
    ]
    checked = await pinggy("zone", "check")
    assert (checked.status, checked.out) == (1, "")
    assert "name no servers of the zone" in checked.err
    key = await pinggy("zone", "key")
    assert key.status == 0
    assert isinstance(parse_grant_key(tomllib.loads(key.out)["grant_key"]), Ed25519PublicKey)

    assert (await pinggy("edge", "remove", "eu1")).err == "Edge eu1 is admitted no longer.\n"
    assert await pinggy.listed("edge", "list") == []
    assert await pinggy.listed("zone", "show") == []
    removed = await pinggy("edge", "remove", "eu1")
    assert (removed.status, removed.err) == (1, "pinggy: There is no edge eu1.\n")
