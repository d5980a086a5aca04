"""
What keeps the service from starting is one line that names the setting; the exit status is 1 and nothing is left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pinggy.settings import SettingsError, load
from pinggy.together.config import Settings
from tests.support.service import PATIENCE, Lines, Service, free_port
from tests.system.tools import LOOPBACK, processes_of, tunnel, visit

NewService = Callable[..., Service]
TWISTD = str(Path(sys.executable).with_name("twistd"))


def refused(folder: Path, *words: str) -> str:
    """Start ``twistd pinggy *words*``; the one line that it ends with."""
    done = subprocess.run(
        [TWISTD, "--nodaemon", "--pidfile=", "--logfile=pinggy.log", "pinggy", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pinggy: ")
    assert done.stderr.count("\n") == 1
    assert processes_of(folder) == []
    return done.stderr.removeprefix("pinggy: ").rstrip("\n")


def settings(folder: Path, text: str) -> Path:
    """A file with *text* and free ports of its own."""
    ports = "".join(f"{name} = {free_port()}\n" for name in ("https_port", "http_port", "dns_port", "core_port"))
    file = folder / "pinggy.toml"
    file.write_text(text if "[listen]" in text else f'state = "state"\n{text}\n[listen]\n{ports}')
    return file


@contextlib.contextmanager
def somebody_at(port: int, kind: socket.SocketKind) -> Iterator[None]:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind((LOOPBACK, port))
        if kind is socket.SOCK_STREAM:
            other.listen()
        yield


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("https_port", socket.SOCK_STREAM),
        ("http_port", socket.SOCK_STREAM),
        ("core_port", socket.SOCK_STREAM),
        ("dns_port", socket.SOCK_STREAM),
        ("dns_port", socket.SOCK_DGRAM),
    ],
)
def test_a_port_in_use_is_named(new_service: NewService, name: str, kind: socket.SocketKind) -> None:
    service = new_service()
    port = getattr(service, name)
    with somebody_at(port, kind):
        line = refused(service.folder, "--config", str(service.config))
    assert line == f"The setting listen.{name} is {port}, where nothing can listen: Address already in use."
    assert not (service.state / "postgres").exists()


def test_a_second_instance_leaves_the_first_alone(new_service: NewService) -> None:
    first, second = new_service(), new_service()
    first.start()
    with tunnel(first) as (_, name):
        line = refused(second.folder, "--config", str(second.config), "--state", str(first.state))
        assert line == f"The setting state names {first.state}, where another pinggy runs already."
        assert visit(first, name)[0] == 200
    assert first.stop() == 0
    assert first.failures() == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("colour = 1", "The setting colour is unknown; known here are: "),
        ("limits.tunnels = 1", "The setting limits.tunnels is unknown; known here are: "),
        ('lease = "long"', "The setting lease must be a number."),
        ("domain = 1", "The setting domain must be a text."),
        ("limits = 1", "The setting limits must be a table."),
        ("host_keys = 1", "The setting host_keys must be a list."),
        ("free_names = 0", "The setting free_names must be true or false."),
        ('domain = "A.example"', "The setting domain is not a domain "),
        ("lease = 0.1", "The setting lease is too small: 1 at the least."),
        ("lease = nan", "The setting lease is too small: 1 at the least."),
        ("anonymous_minutes = 0", "The setting anonymous_minutes is too small: "),
        ('dns.region = "eu.west"', "The setting dns.region is not a label: "),
        ('dns.address = "localhost"', "The setting dns.address is not an IP address."),
        ("ports.first = 30000", "The setting ports.first and last are not a range of ports: "),
        ("visitors.head_bytes = 0", "The setting visitors.head_bytes must be more than 0."),
        ("clients.login = 0", "The setting clients.login is too short: "),
        ("certificate.file = 'cert.pem'", "The setting certificate.key is missing."),
        ("[listen]\nhttps_port = 7443\nhttp_port = 7443", "The setting listen.https_port, http_port, dns_port and "),
        ("[listen]\nhttps_port = 0", "The setting listen.https_port is not a port: "),
        ('[listen]\nhost = "localhost"', "The setting listen.host is not an IP address."),
        ("domain", "The settings file pinggy.toml is not TOML: "),
        ("[listen]\n[listen]", "The settings file pinggy.toml is not TOML: "),
    ],
)
def test_a_setting_that_is_wrong_is_named(tmp_path: Path, text: str, line: str) -> None:
    file = settings(tmp_path, text)
    with pytest.raises(SettingsError) as wrong:
        load(Settings, file)
    assert str(wrong.value).removeprefix(f"{file}: ").replace(str(file), "pinggy.toml").startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("colour = 1", "pinggy.toml: The setting colour is unknown; known here are: "),
        ("lease = 0.1", "pinggy.toml: The setting lease is too small: 1 at the least."),
        ("[listen]\n[listen]", "The settings file pinggy.toml is not TOML: "),
    ],
)
def test_a_file_that_is_wrong_is_told_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    settings(tmp_path, text)
    assert refused(tmp_path, "--config", "pinggy.toml").startswith(line)


def test_a_file_that_is_missing_or_unreadable_is_named(tmp_path: Path) -> None:
    line = refused(tmp_path, "--config", "nowhere.toml")
    assert line == "The settings file nowhere.toml cannot be read: No such file or directory."
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load(Settings, tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'domain = "\xe9"\n')
    with pytest.raises(SettingsError, match="is not TOML: "):
        load(Settings, tmp_path / "latin.toml")


@pytest.mark.parametrize("state", ["/proc/pinggy", "a-file/state", "a-file"])
def test_a_state_folder_that_cannot_be_written_is_named(tmp_path: Path, state: str) -> None:
    (tmp_path / "a-file").write_text("")
    file = settings(tmp_path, "")
    line = refused(tmp_path, "--config", str(file), "--state", state)
    assert line.startswith(f"The setting state names {state}, which cannot be written: ")


def test_a_state_folder_that_is_spoilt_is_named(tmp_path: Path) -> None:
    file = settings(tmp_path, "")
    (tmp_path / "state" / "operator.key").mkdir(parents=True)
    line = refused(tmp_path, "--config", str(file))
    assert line.startswith("The setting state names state, which is of no use: ")
    assert "operator.key" in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('dns.records = ["www"]', "The setting dns.records is of no use: "),
        ('database = "not a url"', "The setting database "),
        ('database = "postgresql://nobody@127.0.0.1:1/nothing"', "The setting database is of no use, at 127.0.0.1:1: "),
        ('certificate = {file = "bad.pem", key = "bad.pem"}', "The setting certificate is of no use: "),
        ('certificate = {file = "nowhere.pem", key = "bad.pem"}', "The setting certificate is of no use: "),
        ('host_keys = ["bad.pem"]', "The setting host_keys names bad.pem, which is no private key "),
        ('host_keys = ["nowhere"]', "The setting host_keys names nowhere, which cannot be read: "),
    ],
)
def test_what_a_setting_leads_to_is_told_in_one_line(stopped: Path, text: str, line: str) -> None:
    (stopped / "bad.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    said = refused(stopped, "--config", str(settings(stopped, text)))
    assert said.startswith(line)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the state of a service that has run before: its starts are short."""
    service = Service(tmp_path_factory.mktemp("stopped"))
    service.start()
    assert service.stop() == 0
    return service.folder


def test_it_runs_for_a_user_who_is_not_root(new_service: NewService) -> None:
    if os.geteuid() != 0:
        service = new_service()
        service.start()
        assert service.stop() == 0
        return
    # A folder that this user may enter, where pytest's own are root's alone; and a Python that they may run.
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    environment = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]), "PATH": os.defpath}
    nobody: dict[str, Any] = {"user": "nobody", "extra_groups": (), "env": environment}
    able = subprocess.run(
        [python, "-c", "import pinggy, psycopg2"], cwd="/", capture_output=True, check=False, **nobody
    )
    if able.returncode != 0:
        pytest.skip("this checkout or its Python is below a folder that only root may enter")
    with tempfile.TemporaryDirectory() as folder:
        shutil.chown(folder, "nobody")
        service = Service(Path(folder))
        service.process = subprocess.Popen(
            [python, TWISTD, "-n", "--pidfile=", f"--logfile={service.log}", "pinggy", "-c", str(service.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            **nobody,
        )
        service.lines = Lines(service.process)
        try:
            service.lines.until("pinggy is ready")
            with tunnel(service) as (_, name):
                assert visit(service, name)[0] == 200
        finally:
            assert service.stop() == 0
        assert service.failures() == []
