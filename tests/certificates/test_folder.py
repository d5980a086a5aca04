from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel

from pinggy.certificates.pair import CertificateUnusable
from pinggy.certificates.store import LOOK_AGAIN, Certificates
from pinggy.certificates.watched import MOST_PAIRS
from tests.certificates.pairs import put
from tests.support.logs import logged


class Site:
    """The wildcard pair of an edge, and a folder of others; `looks` is a visitor a second later."""

    def __init__(self, home: Path) -> None:
        self.default = put(home, "default", "a.example", "*.a.example", days=20)
        self.folder = home / "hosts"
        self.folder.mkdir()
        self.clock = Clock()

    def start(self) -> Certificates:
        return Certificates(self.default, self.default.with_suffix(".key"), self.clock, self.folder)

    def looks(self, certificates: Certificates, host: str | None) -> frozenset[str]:
        self.clock.advance(LOOK_AGAIN)
        return certificates.for_server_name(host).names


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


WILDCARD = {"a.example", "*.a.example"}


def test_the_most_exact_name_is_shown(site: Site) -> None:
    put(site.folder, "shop", "shop.a.example")
    put(site.folder, "deep", "*.deep.a.example", "elsewhere.example")
    certificates = site.start()
    assert certificates.for_server_name("shop.a.example").names == {"shop.a.example"}
    assert certificates.for_server_name("x.deep.a.example").names == {"*.deep.a.example", "elsewhere.example"}
    assert certificates.for_server_name("elsewhere.example").names == {"*.deep.a.example", "elsewhere.example"}
    for other in ("other.a.example", "x.shop.a.example", "nobody.example", None):
        assert certificates.for_server_name(other).names == WILDCARD


def test_pairs_come_change_and_go_without_a_restart(site: Site) -> None:
    certificates = site.start()
    assert certificates.for_server_name("shop.a.example").names == WILDCARD
    with logged("pinggy.certificates") as lines:
        path = put(site.folder, "shop", "shop.a.example")
        assert site.looks(certificates, "shop.a.example") == {"shop.a.example"}
        put(site.folder, "shop", "shop.a.example", "www.a.example")
        assert site.looks(certificates, "www.a.example") == {"shop.a.example", "www.a.example"}
        path.unlink()
        assert site.looks(certificates, "shop.a.example") == WILDCARD
    assert lines == [
        f"The certificate {path} is in use.",
        f"The certificate {path} has changed and was read again.",
        f"The certificate {path} is gone and no longer in use.",
    ]


def test_nobody_looks_twice_within_a_second(site: Site) -> None:
    certificates = site.start()
    put(site.folder, "shop", "shop.a.example")
    site.clock.advance(LOOK_AGAIN / 2)
    assert certificates.for_server_name("shop.a.example").names == WILDCARD
    site.clock.advance(LOOK_AGAIN / 2)
    assert certificates.for_server_name("shop.a.example").names == {"shop.a.example"}


def test_a_pair_that_turns_bad_stays_as_it_was(site: Site) -> None:
    path = put(site.folder, "shop", "shop.a.example")
    certificates = site.start()
    with logged("pinggy.certificates", LogLevel.warn) as lines:
        path.write_bytes(b"garbage")
        for _ in range(3):
            assert site.looks(certificates, "shop.a.example") == {"shop.a.example"}
    assert lines == [f"The file {path} is no certificate in PEM. The certificate read before stays in use."]
    put(site.folder, "shop", "other.a.example")
    assert site.looks(certificates, "other.a.example") == {"other.a.example"}


def test_a_pair_that_is_bad_from_the_beginning_stops_nothing(site: Site) -> None:
    put(site.folder, "shop", "shop.a.example")
    path = put(site.folder, "half", "half.a.example")
    key = path.with_suffix(".key")
    kept = key.read_bytes()
    key.unlink()
    with logged("pinggy.certificates", LogLevel.warn) as lines:
        certificates = site.start()
        assert site.looks(certificates, "half.a.example") == WILDCARD
    assert lines == [
        f"The key {key} cannot be read: No such file or directory. Its names are served with another certificate."
    ]
    assert certificates.for_server_name("shop.a.example").names == {"shop.a.example"}
    key.write_bytes(kept)
    assert site.looks(certificates, "half.a.example") == {"half.a.example"}


def test_of_two_for_one_name_the_one_that_lives_longer_is_shown(site: Site) -> None:
    put(site.folder, "old", "*.a.example", days=5)
    certificates = site.start()
    assert certificates.for_server_name("shop.a.example").names == WILDCARD
    put(site.folder, "new", "*.a.example", days=25)
    assert site.looks(certificates, "shop.a.example") == {"*.a.example"}
    # Who names nobody is shown the configured one.
    assert certificates.for_server_name(None).names == WILDCARD


def test_the_first_that_runs_out_is_what_the_operator_sees(site: Site) -> None:
    certificates = site.start()
    alone = certificates.expires
    put(site.folder, "shop", "shop.a.example", days=3)
    site.clock.advance(LOOK_AGAIN)
    assert certificates.expires == alone - 17 * 86400
    # One that no name is served with does not count.
    put(site.folder, "older", "shop.a.example", days=2)
    site.clock.advance(LOOK_AGAIN)
    assert certificates.expires == alone - 17 * 86400


def test_what_is_no_pair_is_left_alone(site: Site) -> None:
    (site.folder / "README").write_text("hello")
    (site.folder / ".new.pem").write_text("half written")
    with logged("pinggy.certificates") as lines:
        assert site.start().for_server_name("shop.a.example").names == WILDCARD
    assert lines == []


def test_a_folder_that_is_not_there_is_said_at_the_start(site: Site) -> None:
    site.folder.rmdir()
    with pytest.raises(CertificateUnusable) as caught:
        site.start()
    assert str(caught.value) == f"The folder {site.folder} cannot be read: No such file or directory."


def test_a_folder_that_is_lost_later_leaves_what_was_read(site: Site) -> None:
    put(site.folder, "shop", "shop.a.example")
    certificates = site.start()
    moved = site.folder.rename(site.folder.with_name("moved"))
    with logged("pinggy.certificates", LogLevel.warn) as lines:
        for _ in range(3):
            assert site.looks(certificates, "shop.a.example") == {"shop.a.example"}
    assert lines == [
        f"The folder {site.folder} cannot be read: No such file or directory. Its certificates stay in use."
    ]
    moved.rename(site.folder)
    put(site.folder, "www", "www.a.example")
    assert site.looks(certificates, "www.a.example") == {"www.a.example"}


def test_a_folder_has_a_bound(site: Site) -> None:
    first = put(site.folder, "0000", "first.a.example")
    for number in range(1, MOST_PAIRS + 1):
        # The same file under many names.
        for suffix in (".pem", ".key"):
            (site.folder / f"{number:04}{suffix}").hardlink_to(first.with_suffix(suffix))
    last = put(site.folder, "9999", "last.a.example")
    with logged("pinggy.certificates", LogLevel.warn) as lines:
        certificates = site.start()
        assert site.looks(certificates, "last.a.example") == WILDCARD
    assert lines == [
        f"The folder {site.folder} has {MOST_PAIRS + 2} certificates: "
        f"the first {MOST_PAIRS} by their files' names are in use."
    ]
    shutil.move(last, last.with_name("0000a.pem"))
    shutil.move(last.with_suffix(".key"), last.with_name("0000a.key"))
    assert site.looks(certificates, "last.a.example") == {"last.a.example"}
