"""
The settings of a zone gate; ``etc/zone.toml`` is held to them with the other files.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from pinggy.gate.config import GateFile
from pinggy.settings import Secret, SettingsError, parse
from tests.support.gates import public_text

LEAST = {
    "domain": "a.example",
    "state": "/var/lib/pinggy-zone",
    "grant_key": public_text(),
    "read_key": "0123456789abcdef",
    "powerdns": {"key": "x"},
}


def test_five_settings_are_enough_on_loopback() -> None:
    zone = parse(GateFile, {"zone": LEAST}).zone
    assert (zone.state, zone.key, zone.certificate) == (Path("/var/lib/pinggy-zone"), None, None)
    assert (zone.listen.host, zone.listen.port) == ("127.0.0.1", 8443)
    assert (zone.powerdns.url, zone.powerdns.key) == ("http://127.0.0.1:8081", Secret("x"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"domain": "A.example"}, "zone.domain"),
        ({"domain": "a.example."}, "zone.domain"),
        ({"grant_key": ""}, "zone.grant_key"),
        ({"grant_key": "not base64!"}, "zone.grant_key"),
        ({"grant_key": base64.b64encode(b"short").decode()}, "zone.grant_key"),
        ({"read_key": "short"}, "zone.read_key"),
        ({"read_key": "sixteen letters\n!"}, "zone.read_key"),
        ({"key": "short"}, "zone.key"),
        ({"powerdns": {}}, "zone.powerdns.key"),
        ({"powerdns": {"key": "x", "url": "http://192.0.2.1:8081"}}, "zone.powerdns.url"),
        ({"powerdns": {"key": "x", "timeout": 0}}, "zone.powerdns.timeout"),
        ({"powerdns": {"key": "x", "timeout": float("nan")}}, "zone.powerdns.timeout"),
        ({"listen": {"host": "ns1.example"}}, "zone.listen.host"),
        ({"listen": {"port": 65536}}, "zone.listen.port"),
        ({"listen": {"host": "0.0.0.0"}}, "zone.certificate is missing"),
        ({"certificate": {"file": "x"}}, "zone.certificate.key is missing"),
        ({"nonsense": 1}, "zone.nonsense"),
    ],
)
def test_what_is_of_no_use_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(named)) as caught:
        parse(GateFile, {"zone": {**LEAST, **change}})
    assert "\n" not in str(caught.value)
