"""
The operator's command against a running service: every verb, and what it changes for clients.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import PATIENCE, Service
from tests.system.tools import LOOPBACK, eventually, local_web, ssh, ssh_command, tunnel, visit


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Its edge renews every second, so what the operator does shows soon."""
    running = Service(tmp_path_factory.mktemp("watched"), "lease = 3")
    running.start()
    yield running
    assert running.stop() == 0
    assert running.failures() == []


def ask(service: Service, *words: str) -> Any:
    """The answer to ``pinggy *words* --json``."""
    return json.loads(service.pinggy(*words, "--json").stdout)


def turned_away(service: Service, *words: str) -> str:
    """The sentence with which ``pinggy *words*`` fails."""
    done = service.pinggy(*words, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pinggy: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("pinggy: ").rstrip("\n")


def rejected(service: Service, user: str, *options: str) -> str:
    """What an ssh shows whose login is refused."""
    done = subprocess.run(
        [*ssh_command(service, user, "-R0:localhost:8000", *options), LOOPBACK],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    return done.stderr


def test_accounts(service: Service) -> None:
    said = service.pinggy("account", "add", "accounts-test").stderr
    assert said == "Account accounts-test added. Next: pinggy token add accounts-test\n"
    assert "accounts-test" in [each["name"] for each in ask(service, "account", "list")["accounts"]]
    assert re.search(r"(?m)^accounts-test +0 +0 +0 ", service.pinggy("account", "list").stdout)
    assert turned_away(service, "account", "add", "accounts-test") == "There is an account accounts-test already."
    assert "is not well formed" in turned_away(service, "account", "add", "Upper Case")
    assert turned_away(service, "token", "add", "nobody-at-all") == "There is no account nobody-at-all."


def test_a_revoked_token_is_refused_at_the_next_login(service: Service) -> None:
    token = service.new_token("revoked-test")
    with tunnel(service, token) as (_, name):
        assert visit(service, name)[0] == 200
        rows = ask(service, "token", "list", "--account", "revoked-test")["tokens"]
        (prefix,) = (each["prefix"] for each in rows)
        assert token not in service.pinggy("token", "list").stdout
        assert service.pinggy("token", "revoke", prefix).stderr == f"Token {prefix} is revoked.\n"
        assert f"The token {prefix}... is unknown or has been revoked" in rejected(service, token)
        assert visit(service, name)[0] == 200, "what was live goes on"
    (row,) = ask(service, "token", "list", "--account", "revoked-test")["tokens"]
    assert row["revoked"]
    assert turned_away(service, "token", "revoke", "nothing") == "There is no token nothing."


def test_a_mistyped_token_is_told_from_an_unknown_one(service: Service) -> None:
    token = service.new_token("mistyped-test")
    other = "a" if token[-1] != "a" else "b"
    assert "This token is mistyped" in rejected(service, token[:-1] + other)


def test_a_released_name_is_anybodys(service: Service) -> None:
    owner, other = service.new_token("name-owner"), service.new_token("name-other")
    service.pinggy("name", "reserve", "name-owner", "wanted")
    assert ask(service, "name", "list", "--account", "name-owner")["names"][0]["name"] == "wanted"
    assert "reserved already, by the account name-owner" in turned_away(
        service, "name", "reserve", "name-other", "wanted"
    )
    with tunnel(service, owner) as (_, name):
        assert name == "wanted"
    named = f"-Rwanted:1:{LOOPBACK}:9"
    with ssh(service, named, user=other) as client:
        assert client.end()[:2] == (1, ["The name wanted is reserved by another account: choose another."])
    assert service.pinggy("name", "release", "wanted").stderr == "The name wanted is kept no longer.\n"
    assert turned_away(service, "name", "release", "wanted") == "There is no reserved name wanted."
    with ssh(service, named, user=other) as client:
        assert client.name() == "wanted"


def test_a_reserved_port_stays_the_accounts(service: Service) -> None:
    token = service.new_token("port-owner")
    port = int(service.pinggy("port", "reserve", "port-owner").stdout)
    assert [each["port"] for each in ask(service, "port", "list", "--account", "port-owner")["ports"]] == [port]
    for _ in range(2):
        with local_web() as web, ssh(service, f"-R0:{LOOPBACK}:{web}", user=f"{token}+tcp") as client:
            url = client.lines.until("tcp://")
            assert url == f"tcp://tcp-{port}.a.localhost:{port}"
            with socket.create_connection((LOOPBACK, port), PATIENCE) as visitor:
                visitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert visitor.makefile("rb").read().endswith(b"hello from the laptop")
    assert turned_away(service, "port", "reserve", "port-owner", "1").startswith("Port 1 is not one of this service: ")
    service.pinggy("port", "release", str(port))
    assert ask(service, "port", "list", "--account", "port-owner")["ports"] == []


def test_a_registered_key_signs_in_until_it_is_revoked(service: Service, tmp_path: Path) -> None:
    key = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a laptop", "-f", key], check=True)
    service.pinggy("account", "add", "key-owner")
    service.pinggy("name", "reserve", "key-owner", "signed-in")
    options = ("-i", str(key), "-o", "IdentitiesOnly=yes")
    assert "A key that your ssh offered is not registered here" in rejected(service, "key", *options)
    fingerprint = service.pinggy("key", "add", "key-owner", f"{key}.pub").stdout.strip()
    shown = subprocess.run(["ssh-keygen", "-l", "-f", key], capture_output=True, text=True, check=True).stdout
    assert fingerprint == shown.split()[1]
    (row,) = ask(service, "key", "list", "--account", "key-owner")["keys"]
    assert (row["fingerprint"], row["type"], row["comment"]) == (fingerprint, "ssh-ed25519", "a laptop")
    with ssh(service, f"-R0:{LOOPBACK}:9", f"-oIdentityFile={key}", "-oIdentitiesOnly=yes", user="key") as client:
        assert client.name() == "signed-in"
    service.pinggy("key", "revoke", fingerprint)
    assert "A key that your ssh offered is not registered here" in rejected(service, "key", *options)
    assert "is a private key, which never leaves its owner" in turned_away(service, "key", "add", "key-owner", str(key))


def test_edges(service: Service) -> None:
    before = ask(service, "edge", "list")["edges"]
    assert [(each["name"], each["region"], each["addresses"]) for each in before if each["name"] == "local"] == [
        ("local", "local", [LOOPBACK])
    ]
    words = ("edge", "add", "edges-test", "--region", "far", "--address", "192.0.2.1", "2001:db8::1", "--secret-only")
    added = service.pinggy(*words)
    assert len(added.stdout.strip()) >= 32
    rows = {each["name"]: each for each in ask(service, "edge", "list")["edges"]}
    assert rows["edges-test"]["addresses"] == ["192.0.2.1", "2001:db8::1"]
    assert rows["edges-test"]["seen"] is None
    assert rows["local"]["seen"]
    assert added.stdout.strip() not in service.pinggy("edge", "list").stdout
    assert turned_away(service, "edge", "add", "edges-test", "--region", "far", "--address", "192.0.2.1")
    # A region is a record of the zone: nobody's tunnel gets it from now on.
    with ssh(service, f"-Rfar:1:{LOOPBACK}:9", user=service.token) as client:
        assert client.end()[1] == ["The name far belongs to the service itself: choose another."]


def test_a_visit_shows_in_the_list_after_a_renewal(watched: Service) -> None:
    with tunnel(watched, watched.token, b"x" * 5000) as (_, name):
        for _ in range(3):
            assert visit(watched, name) == (200, b"x" * 5000)

        def row() -> Any:
            return next(each for each in ask(watched, "tunnel", "list")["tunnels"] if each["account"] == "local")

        eventually(lambda: row()["sent"] > 15000 and row()["received"] > 0, "the bytes of three visits")
        seen = row()
        assert (seen["edge"], seen["address"], seen["live"]) == ("local", LOOPBACK, True)
        assert seen["forwardings"] == ["http hello"]
        assert seen["visitors"] >= 1
        shown = watched.pinggy("tunnel", "list", "--account", "local").stdout
        assert re.search(rf"(?m)^{seen['tunnel'][:8]} +local +local +127\.0\.0\.1 +live .* http hello$", shown)
    eventually(lambda: not ask(watched, "tunnel", "list", "--account", "local")["tunnels"], "the end of the tunnel")
    history = ask(watched, "tunnel", "list", "--account", "local", "--history")["tunnels"]
    assert history[0]["reason"] == "client-left"
    assert history[0]["sent"] >= seen["sent"]


def test_a_closed_tunnel_ends_with_the_operators_sentence(watched: Service) -> None:
    with tunnel(watched) as (client, name), tunnel(watched) as (_, other):
        row = next(
            each for each in ask(watched, "tunnel", "list")["tunnels"] if each["forwardings"] == [f"http {name}"]
        )
        done = watched.pinggy("tunnel", "close", row["tunnel"][:10])
        assert done.stderr == f"Tunnel {row['tunnel']} is closed.\n"
        status, lines, _ = client.end()
        assert (status, lines) == (1, ["The operator has closed this tunnel."])
        assert visit(watched, name)[0] == 404
        assert visit(watched, other)[0] == 200
    assert turned_away(watched, "tunnel", "close", "abcdef") == (
        "No live tunnel's id begins with abcdef: see 'pinggy tunnel list'."
    )


def test_without_a_core_it_says_what_to_do(service: Service, tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as closed:
        url = f"http://{LOOPBACK}:{closed.getsockname()[1]}"
    assert turned_away(service, "--core", url, "account", "list") == (
        f"The core at {url} cannot be reached (Connection refused): start the service, or say with --core or --state "
        "where it is."
    )
    assert turned_away(service, "--state", str(tmp_path), "account", "list").startswith(
        f"There is no operator's key at {tmp_path}/operator.key: "
    )
    (tmp_path / "wrong.key").write_text("a-key-that-is-not-the-operators\n")
    said = turned_away(service, "--key-file", str(tmp_path / "wrong.key"), "account", "list")
    assert said.endswith(f"(The key was that of {tmp_path}/wrong.key.)")


def test_help_has_examples_and_words_that_are_not_understood_are_status_2(service: Service) -> None:
    for words in ((), ("tunnel", "list"), ("token", "add")):
        assert "examples:" in service.pinggy(*words, "--help").stdout
    done = service.pinggy("tunnel", "open", check=False)
    assert (done.returncode, done.stdout) == (2, "")
