"""
The file of the authority that signs edges' certificates: made once, read by its owner alone, and said in one line
where it is of no use.
"""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pinggy.core.relay_ca import ensure_relay_authority
from pinggy.settings import SettingsError

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "relay.pem"
    made = ensure_relay_authority(path, NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ensure_relay_authority(path, NOW).certificate == made.certificate
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_authority_is_named(tmp_path: Path) -> None:
    good, other = tmp_path / "good.pem", tmp_path / "other.pem"
    ensure_relay_authority(good, NOW)
    ensure_relay_authority(other, NOW)
    key, certificate = good.read_text().split("-----BEGIN CERTIFICATE-----")
    foreign = other.read_text().split("-----BEGIN CERTIFICATE-----")[1]
    path = tmp_path / "relay.pem"
    for content, why in (
        ("", "no private key and certificate"),
        (key, "no private key and certificate"),
        ("-----BEGIN CERTIFICATE-----" + certificate, "no private key and certificate"),
        (key + "-----BEGIN CERTIFICATE-----" + foreign, "do not belong to each other"),
    ):
        path.write_text(content)
        path.chmod(0o600)
        with pytest.raises(SettingsError, match=rf"core\.relay_ca names .*{why}"):
            ensure_relay_authority(path, NOW)


def test_one_that_others_may_read_or_that_is_over_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relay.pem"
    ensure_relay_authority(path, NOW)
    with pytest.raises(SettingsError, match=r"core\.relay_ca names .*is over"):
        ensure_relay_authority(path, NOW + timedelta(days=3653))
    path.chmod(0o640)
    with pytest.raises(SettingsError, match=r"core\.relay_ca names .*others may read: chmod 600"):
        ensure_relay_authority(path, NOW)
    with pytest.raises(SettingsError, match=r"core\.relay_ca names .*nowhere.*No such file"):
        ensure_relay_authority(tmp_path / "nowhere" / "relay.pem", NOW)
