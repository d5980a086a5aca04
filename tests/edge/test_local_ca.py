from __future__ import annotations

import ipaddress
import os
import shutil
import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pinggy.edge.local_ca import CA_LIFE, LEAF_LIFE, RENEW_BEFORE, ensure_local_certificate

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def leaf(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())


def authority(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())


def test_what_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "tls"
    made = ensure_local_certificate(folder, "a.localhost", NOW)
    assert (made.ca, made.certificate, made.key) == (folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    assert sorted(contents(folder)) == ["ca-key.pem", "ca.pem", "cert.pem", "key.pem"]
    certificate = leaf(folder)
    certificate.verify_directly_issued_by(authority(folder))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.localhost", "*.a.localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    assert certificate.not_valid_after_utc == NOW + LEAF_LIFE
    assert authority(folder).not_valid_after_utc == NOW + CA_LIFE
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_the_extensions_are_those_of_an_authority_and_of_a_server(tmp_path: Path) -> None:
    ensure_local_certificate(tmp_path, "a.localhost", NOW)
    for certificate, is_ca in ((authority(tmp_path), True), (leaf(tmp_path), False)):
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert basic.critical
        assert usage.critical
        assert basic.value.ca is is_ca
        assert usage.value.key_cert_sign is is_ca
        assert usage.value.digital_signature is not is_ca


def test_keys_are_for_nobody_else(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        ensure_local_certificate(tmp_path, "a.localhost", NOW)
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"ca-key.pem": 0o600, "key.pem": 0o600, "ca.pem": 0o644, "cert.pem": 0o644}


def test_a_second_start_reuses_all(tmp_path: Path) -> None:
    ensure_local_certificate(tmp_path, "a.localhost", NOW)
    before = contents(tmp_path)
    ensure_local_certificate(tmp_path, "a.localhost", NOW + LEAF_LIFE - RENEW_BEFORE - DAY)
    assert contents(tmp_path) == before


def test_a_leaf_is_renewed_in_its_last_month_by_the_same_authority(tmp_path: Path) -> None:
    ensure_local_certificate(tmp_path, "a.localhost", NOW)
    before = contents(tmp_path)
    later = NOW + LEAF_LIFE - RENEW_BEFORE + DAY
    ensure_local_certificate(tmp_path, "a.localhost", later)
    after = contents(tmp_path)
    assert after["ca.pem"] == before["ca.pem"]
    assert after["cert.pem"] != before["cert.pem"]
    assert leaf(tmp_path).not_valid_after_utc == later + LEAF_LIFE
    leaf(tmp_path).verify_directly_issued_by(authority(tmp_path))


def test_another_domain_is_another_leaf(tmp_path: Path) -> None:
    ensure_local_certificate(tmp_path, "a.localhost", NOW)
    ca = (tmp_path / "ca.pem").read_bytes()
    ensure_local_certificate(tmp_path, "b.localhost", NOW)
    assert (tmp_path / "ca.pem").read_bytes() == ca
    assert "b.localhost" in leaf(tmp_path).subject.rfc4514_string()


def test_an_authority_that_would_die_before_its_leaf_is_replaced(tmp_path: Path) -> None:
    ensure_local_certificate(tmp_path, "a.localhost", NOW)
    ca = authority(tmp_path)
    ensure_local_certificate(tmp_path, "a.localhost", NOW + CA_LIFE - LEAF_LIFE + DAY)
    assert authority(tmp_path) != ca
    leaf(tmp_path).verify_directly_issued_by(authority(tmp_path))


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem", "cert.pem", "key.pem"])
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "another's"])
def test_damaged_files_are_made_again(tmp_path: Path, name: str, damage: str) -> None:
    ensure_local_certificate(tmp_path / "tls", "a.localhost", NOW)
    ensure_local_certificate(tmp_path / "other", "a.localhost", NOW)
    path = tmp_path / "tls" / name
    match damage:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "half":
            path.write_bytes(path.read_bytes()[:100])
        case _:
            path.write_bytes((tmp_path / "other" / name).read_bytes())
    made = ensure_local_certificate(tmp_path / "tls", "a.localhost", NOW)
    leaf(tmp_path / "tls").verify_directly_issued_by(authority(tmp_path / "tls"))
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made.certificate, made.key)


def test_openssl_accepts_it_strictly(tmp_path: Path) -> None:
    made = ensure_local_certificate(tmp_path, "a.localhost", datetime.now(UTC))
    openssl = shutil.which("openssl")
    assert openssl is not None
    for option, name in (("hostname", "a.localhost"), ("hostname", "x.a.localhost"), ("ip", "127.0.0.1")):
        ran = subprocess.run(
            (
                openssl,
                "verify",
                "-x509_strict",
                "-purpose",
                "sslserver",
                f"-verify_{option}",
                name,
                "-CAfile",
                made.ca,
                made.certificate,
            ),
            capture_output=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
