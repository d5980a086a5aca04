"""
The setting of the entry: which host it is, and which it cannot be.
"""

from __future__ import annotations

from typing import Any

import pytest

from pinggy.core.config import CoreSettings
from pinggy.settings import SettingsError, parse

ZONE = {"servers": [{"url": "http://127.0.0.1:8443", "dns": "127.0.0.1:53"}]}
ROUTE53 = {"kind": "route53", "name": "go.example.com", "hosted_zone": "Z0123456789ABCDEFGHIJ"}


def core(entry: dict[str, Any], *, domain: str = "a.example.com", zone: Any = ZONE) -> CoreSettings:
    table = {"domain": domain, "operator_key": "0" * 16, "database": {"url": "postgresql:///x"}, "entry": entry}
    return parse(CoreSettings, {**table, "zone": zone}, "core.")


@pytest.mark.parametrize(
    ("entry", "host", "kept"),
    [
        ({"kind": "lua"}, "a.example.com", ()),
        ({"kind": "lua", "name": "a.example.com"}, "a.example.com", ()),
        ({"kind": "lua", "name": "go"}, "go.a.example.com", ("go",)),
        ({"kind": "lua", "name": "go.a.example.com"}, "go.a.example.com", ("go",)),
        (ROUTE53, "go.example.com", ()),
        ({**ROUTE53, "name": "example.com"}, "example.com", ()),
        ({**ROUTE53, "name": "go-a.example.com"}, "go-a.example.com", ()),
    ],
)
def test_a_host_and_the_label_that_no_tunnel_may_have(entry: dict[str, Any], host: str, kept: tuple[str, ...]) -> None:
    settings = core(entry)
    assert settings.entry is not None
    assert settings.entry.host("a.example.com") == host
    assert settings.kept == kept


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"kind": "bind"}, "core.entry.kind is none that there is: lua or route53"),
        ({"kind": "lua", "port": 0}, "core.entry.port is not a port"),
        ({"kind": "lua", "ttl": 0}, "core.entry.ttl is not between 1 and 3600"),
        ({"kind": "lua", "ttl": 3601}, "core.entry.ttl is not between 1 and 3600"),
        ({"kind": "lua", "name": "Go"}, "core.entry.name is not a host in lower case"),
        ({"kind": "lua", "name": ""}, "core.entry.name is not a host in lower case"),
        ({"kind": "lua", "name": "go.a.example.com."}, "core.entry.name is not a host"),
        ({"kind": "lua", "name": "x.go"}, "is neither a.example.com itself"),
        ({"kind": "lua", "name": "go.example.com"}, "is neither a.example.com itself"),
        ({"kind": "route53", "name": "go.example.com"}, "core.entry.hosted_zone is not the id of one"),
        ({**ROUTE53, "hosted_zone": "/hostedzone/Z1"}, "core.entry.hosted_zone is not the id of one"),
        ({**ROUTE53, "name": "@"}, "core.entry.name is not a whole host name"),
        ({**ROUTE53, "name": "go"}, "core.entry.name is not a whole host name"),
        ({**ROUTE53, "name": "a.example.com"}, "lies in the zone a.example.com"),
        ({**ROUTE53, "name": "go.a.example.com"}, "lies in the zone a.example.com, which is delegated"),
        ({**ROUTE53, "name": "_x.example.com"}, "core.entry.name is not a host in lower case"),
        ({**ROUTE53, "name": f"{'x' * 60}.{'x' * 60}.{'x' * 60}.{'x' * 60}"}, "core.entry.name is too long"),
        ({**ROUTE53, "endpoint": "http://route53.example.com"}, "core.entry.endpoint is of no use"),
    ],
)
def test_what_it_cannot_be_is_said_by_its_name(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        core(entry)
    assert said in str(refused.value)


def test_a_zone_below_the_name_of_a_region_is_no_place_for_it() -> None:
    with pytest.raises(SettingsError, match="needs the names of regions below it"):
        core({**ROUTE53, "name": "example.com"}, domain="a.eu-west-1.example.com")


def test_lua_needs_servers() -> None:
    with pytest.raises(SettingsError, match=r"core\.entry\.kind = \"lua\" needs the zone's servers"):
        core({"kind": "lua"}, zone={})
    assert core(ROUTE53, zone={}).entry is not None
