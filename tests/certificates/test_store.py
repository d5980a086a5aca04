from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from pinggy.certificates.pair import CertificateUnusable
from pinggy.certificates.store import LOOK_AGAIN, Certificates
from pinggy.edge.local_ca import LocalCertificate, ensure_local_certificate
from tests.support.logs import logged

NOW = datetime.now(UTC)


@pytest.fixture
def first(tmp_path: Path) -> LocalCertificate:
    return ensure_local_certificate(tmp_path / "first", "a.example", NOW)


@pytest.fixture
def second(tmp_path: Path) -> LocalCertificate:
    return ensure_local_certificate(tmp_path / "second", "b.example", NOW)


def shown(certificates: Certificates, server_name: str | None = None) -> list[str]:
    """The subjects of the certificates that a visitor is shown."""
    creator = certificates.for_server_name(server_name)
    factory = TLSMemoryBIOFactory(creator, False, Factory(), Clock())
    server = creator.serverConnectionForTLS(TLSMemoryBIOProtocol(factory, Protocol()))
    server.set_accept_state()
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    for one, other in ((client, server), (server, client), (client, server)):
        with suppress(SSL.WantReadError):
            one.do_handshake()
        other.bio_write(one.bio_read(65536))
    chain = client.get_peer_cert_chain(as_cryptography=True)
    assert chain is not None
    return [each.subject.rfc4514_string() for each in chain]


def served(certificates: Certificates) -> str:
    return shown(certificates)[0]


def replace(old: LocalCertificate, new: LocalCertificate) -> None:
    for kept, put in ((old.certificate, new.certificate), (old.key, new.key)):
        fresh = kept.with_name("fresh")
        fresh.write_bytes(put.read_bytes())
        os.replace(fresh, kept)


def test_the_certificate_of_the_files_is_served(first: LocalCertificate) -> None:
    assert served(Certificates(first.certificate, first.key, Clock())) == "CN=a.example"


def test_new_files_are_served_without_a_restart(first: LocalCertificate, second: LocalCertificate) -> None:
    clock = Clock()
    certificates = Certificates(first.certificate, first.key, clock)
    replace(first, second)
    assert served(certificates) == "CN=a.example"
    clock.advance(LOOK_AGAIN)
    assert served(certificates) == "CN=b.example"


def test_when_it_runs_out_is_known_also_of_new_files(first: LocalCertificate, tmp_path: Path) -> None:
    clock = Clock()
    certificates = Certificates(first.certificate, first.key, clock)
    expires = certificates.expires
    assert expires is not None
    assert expires > NOW.timestamp()
    later = ensure_local_certificate(tmp_path / "later", "a.example", NOW + timedelta(days=1))
    replace(first, later)
    assert certificates.expires == expires
    clock.advance(LOOK_AGAIN)
    assert certificates.expires == expires + timedelta(days=1).total_seconds()
    # What cannot be read is not in use.
    clock.advance(LOOK_AGAIN)
    first.certificate.write_text("garbage")
    with logged("pinggy.certificates", LogLevel.warn):
        assert certificates.expires == expires + timedelta(days=1).total_seconds()


@pytest.mark.parametrize("damage", ["garbage", "missing", "half done", "another key"])
def test_files_of_no_use_leave_the_old_ones_and_one_line(
    first: LocalCertificate, second: LocalCertificate, damage: str
) -> None:
    clock = Clock()
    certificates = Certificates(first.certificate, first.key, clock)
    match damage:
        case "garbage":
            first.certificate.write_bytes(b"garbage")
        case "missing":
            first.certificate.unlink()
        case "half done":
            first.certificate.write_bytes(second.certificate.read_bytes())
        case _:
            first.key.write_bytes(second.key.read_bytes())
    with logged("pinggy.certificates", LogLevel.warn) as lines:
        for _ in range(3):
            clock.advance(LOOK_AGAIN)
            assert served(certificates) == "CN=a.example"
    (line,) = lines
    assert line.endswith("The certificate read before stays in use.")
    replace(first, second)
    clock.advance(LOOK_AGAIN)
    assert served(certificates) == "CN=b.example"


def test_a_chain_is_sent_whole(first: LocalCertificate) -> None:
    first.certificate.write_bytes(first.certificate.read_bytes() + first.ca.read_bytes())
    leaf, ca = shown(Certificates(first.certificate, first.key, Clock()))
    assert leaf == "CN=a.example"
    assert ca.startswith("CN=pinggy local CA ")


def test_a_start_with_files_of_no_use_says_which(first: LocalCertificate, second: LocalCertificate) -> None:
    missing = first.key.with_name("missing")
    garbage = first.key.with_name("garbage")
    garbage.write_bytes(b"garbage")
    locked = first.key.with_name("locked")
    locked.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
        )
    )
    for certificate, key, sentence in (
        (missing, first.key, f"The certificate {missing} cannot be read: No such file or directory."),
        (garbage, first.key, f"The file {garbage} is no certificate in PEM."),
        (first.certificate, missing, f"The key {missing} cannot be read: No such file or directory."),
        (first.certificate, garbage, f"The file {garbage} is no private key in PEM without a password."),
        (first.certificate, locked, f"The file {locked} is no private key in PEM without a password."),
        (
            first.certificate,
            second.key,
            f"The key {second.key} does not belong to the certificate {first.certificate}.",
        ),
    ):
        with pytest.raises(CertificateUnusable) as caught:
            Certificates(certificate, key, Clock())
        assert str(caught.value) == sentence
