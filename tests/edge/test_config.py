"""
The settings of an edge: mistakes of the operator that are said at the start.
"""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from pinggy.edge.config import Clients, Listen
from pinggy.settings import SettingsError, parse


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"ciphers": ["aes128-ctr", "3des-cbc"]}, "ciphers names '3des-cbc', which is not there"),
        ({"ciphers": []}, "ciphers is empty"),
        ({"macs": ["hmac-md5"]}, "macs names 'hmac-md5', which is not there"),
        ({"macs": []}, "macs is empty"),
        ({"windows": -1}, "windows is less than 0 MiB"),
    ],
)
def test_an_edge_does_not_start_with_what_it_cannot_seal(table: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        parse(Clients, table, "clients.")


def test_load_balancers_are_addresses_and_networks() -> None:
    listen = parse(Listen, {"proxies": ["10.0.0.0/8", "2001:db8::7"]})
    assert listen.balancers == (ip_network("10.0.0.0/8"), ip_network("2001:db8::7/128"))
    for odd in ("10.0.0.1/8", "lb.example", "10.0.0.0/8, 192.0.2.7", ""):
        with pytest.raises(SettingsError, match=r"listen\.proxies: .* is no address or network"):
            parse(Listen, {"proxies": [odd]}, "listen.")


def test_no_weak_algorithm_is_there_by_default() -> None:
    clients = parse(Clients, {})
    assert not [
        name
        for name in (*clients.ciphers, *clients.macs)
        if any(weak in name for weak in ("cbc", "3des", "md5", "sha1", "arcfour", "none"))
    ]
