"""
Every command, against a core of a few lines.
"""

from __future__ import annotations

import io
import json
import socket
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pinggy.edge.config import EdgeSettings
from pinggy.settings import Secret, load
from pinggy.tunnel.token import new_token
from pinggy.wire import operator, paths
from pinggy.wire.codec import decode
from pinggy.wire.messages import Done, Refused
from tests.cli.conftest import Pinggy
from tests.cli.fake_core import FakeCore

CREATED = "2026-11-23T19:52:49+00:00"
SHOWN = "2026-11-23 19:52"


def tunnel(ident: str, **changes: object) -> operator.TunnelRow:
    row = {
        "tunnel": ident,
        "account": None,
        "edge": "local",
        "address": "127.0.0.1",
        "forwardings": ("http blog",),
        "started": CREATED,
        "live": True,
        "received": 1500,
        "sent": 20,
        "visitors": 3,
    }
    return operator.TunnelRow(**(row | changes))  # type: ignore[arg-type]


def test_account_add(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("POST", paths.ACCOUNTS, operator.Account(name="me", created=CREATED))
    outcome = pinggy("account", "add", "me")
    assert (outcome.status, outcome.out) == (0, "")
    assert outcome.err == "Account me added. Next: pinggy token add me\n"
    ((_, _, body),) = core.asked
    assert decode(operator.AddAccount, body) == operator.AddAccount(name="me")


def test_account_list(pinggy: Pinggy, core: FakeCore) -> None:
    rows = (operator.Account(name="me", created=CREATED, tokens=2, tunnels=11), operator.Account(name="x", created=""))
    core.answer("GET", paths.ACCOUNTS, operator.Accounts(accounts=rows))
    outcome = pinggy("account", "list")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "ACCOUNT  TOKENS  NAMES  TUNNELS  CREATED (UTC)",
        f"me            2      0       11  {SHOWN}",
        "x             0      0        0  -",
    ]


def test_a_new_token_is_alone_on_stdout(pinggy: Pinggy, core: FakeCore) -> None:
    token = new_token()
    core.answer("POST", paths.TOKENS, operator.NewToken(token=token.secret, prefix=token.prefix, account="me"))
    outcome = pinggy("token", "add", "me", "--comment", "my laptop")
    assert outcome.out == token.secret.reveal() + "\n"
    assert "said only now" in outcome.err
    assert f"pinggy token revoke {token.prefix}" in outcome.err
    assert token.secret.reveal() not in outcome.err
    assert decode(operator.AddToken, core.asked[0][2]) == operator.AddToken(account="me", comment="my laptop")


def test_token_list(pinggy: Pinggy, core: FakeCore) -> None:
    row = operator.TokenRow(
        prefix="xxYYzzZ", account="me", comment="\x1b]0;evil\x07", created=CREATED, newest_wins=True
    )
    core.answer("GET", f"{paths.TOKENS}?account=me+%26+you", operator.Tokens(tokens=(row,)))
    outcome = pinggy("token", "list", "--account", "me & you")
    assert outcome.out.splitlines()[1] == f"xxYYzzZ  me       {SHOWN}  -              yes          ?]0;evil?"


def test_of_a_token_the_newest_wins_or_not(pinggy: Pinggy, core: FakeCore) -> None:
    token = new_token()
    core.answer("POST", paths.TOKENS, operator.NewToken(token=token.secret, prefix=token.prefix, account="me"))
    core.answer("POST", paths.TOKEN_RULES, Done())
    pinggy("token", "add", "me", "--newest-wins")
    assert "takes its names from older" in pinggy("token", "set", token.secret.reveal(), "--newest-wins").err
    assert "waits for its names" in pinggy("token", "set", token.prefix, "--no-newest-wins").err
    assert pinggy("token", "set", token.prefix).status == 2
    first, *others = (body for _, _, body in core.asked)
    assert decode(operator.AddToken, first) == operator.AddToken(account="me", newest_wins=True)
    assert [decode(operator.SetToken, body) for body in others] == [
        operator.SetToken(prefix=token.prefix, newest_wins=wins) for wins in (True, False)
    ]


def test_token_revoke_sends_no_more_than_the_prefix(pinggy: Pinggy, core: FakeCore) -> None:
    token = new_token()
    assert pinggy("token", "revoke", token.secret.reveal()).err == f"Token {token.prefix} is revoked.\n"
    assert pinggy("token", "revoke", token.prefix).status == 0
    assert [asked[:2] for asked in core.asked] == [("DELETE", f"{paths.TOKENS}/{token.prefix}")] * 2
    outcome = pinggy("token", "revoke", token.secret.reveal() + "x")
    assert outcome.status == 1
    assert "mistyped" in outcome.err


LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@laptop"


def test_key_add_from_a_file_and_from_stdin(
    pinggy: Pinggy, core: FakeCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = operator.Key(fingerprint="SHA256:a/b+c", account="me", type="ssh-ed25519", comment="me@laptop", created="")
    core.answer("POST", paths.KEYS, key)
    file = tmp_path / "id.pub"
    file.write_text(f"# mine\n\n{LINE}\n{LINE}2\n")
    outcome = pinggy("key", "add", "me", str(file))
    assert outcome.out == "SHA256:a/b+c\nSHA256:a/b+c\n"
    assert [decode(operator.AddKey, body).line for _, _, body in core.asked] == [LINE, LINE + "2"]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(LINE.encode())))
    assert pinggy("key", "add", "me", "-").status == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nsecret", "never leaves its owner"),
        (b"\xff\xfe\x00", "not text"),
        (b"\n# nothing\n", "holds no public key"),
        (b"x" * 70_000, "too long"),
        (None, "cannot be read: No such file"),
    ],
)
def test_files_that_hold_no_public_key(
    pinggy: Pinggy, core: FakeCore, tmp_path: Path, content: bytes | None, why: str
) -> None:
    file = tmp_path / "id.pub"
    if content is not None:
        file.write_bytes(content)
    outcome = pinggy("key", "add", "me", str(file))
    assert (outcome.status, outcome.out) == (1, "")
    assert why in outcome.err
    assert str(file) in outcome.err
    assert not core.asked


def test_key_revoke_percent_encodes(pinggy: Pinggy, core: FakeCore) -> None:
    for fingerprint in ("SHA256:a/b+c", "a/b+c"):
        assert pinggy("key", "revoke", fingerprint).err == "Key SHA256:a/b+c is taken away.\n"
    assert {asked[1] for asked in core.asked} == {f"{paths.KEYS}/SHA256%3Aa%2Fb%2Bc"}


def test_names(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("POST", paths.NAMES, operator.ReservedName(name="blog", account="me", created=CREATED))
    assert pinggy("name", "reserve", "me", "blog").err == "The name blog is kept for account me.\n"
    rows = (operator.ReservedName(name="blog", account="me", created=CREATED),)
    core.answer("GET", paths.NAMES, operator.ReservedNames(names=rows))
    assert pinggy("name", "list").out.splitlines()[1] == f"blog  me       {SHOWN}"
    assert pinggy("name", "release", "../edges").status == 0
    assert core.asked[-1][1] == f"{paths.NAMES}/..%2Fedges"


def test_ports(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("POST", paths.PORTS, operator.ReservedPort(port=20001, account="me", created=CREATED))
    outcome = pinggy("port", "reserve", "me")
    assert (outcome.out, outcome.err) == ("20001\n", "Port 20001 is kept for account me.\n")
    assert decode(operator.ReservePort, core.asked[0][2]).port is None
    pinggy("port", "reserve", "me", "20001")
    assert decode(operator.ReservePort, core.asked[1][2]).port == 20001
    core.answer("GET", f"{paths.PORTS}?account=me", operator.ReservedPorts(ports=()))
    outcome = pinggy("port", "list", "--account", "me")
    assert (outcome.status, outcome.out) == (0, "")
    assert outcome.err.startswith("No ports are reserved")
    assert pinggy("port", "release", "20001").status == 0


@pytest.fixture
def new_edge(core: FakeCore) -> operator.NewEdge:
    edge = operator.NewEdge(name="eu1", region="eu", secret=Secret("s3cret"))
    core.answer("POST", paths.EDGES, edge)
    return edge


def test_a_new_edges_secret_alone(pinggy: Pinggy, core: FakeCore, new_edge: operator.NewEdge) -> None:
    outcome = pinggy("edge", "add", "eu1", "--region", "eu", "--address", "192.0.2.1", "2001:DB8::1", "--secret-only")
    assert outcome.out == "s3cret\n"
    assert "said only now" in outcome.err
    assert decode(operator.AddEdge, core.asked[0][2]).addresses == ("192.0.2.1", "2001:db8::1")
    outcome = pinggy("edge", "add", "eu1", "--region", "eu", "--address", "192.0.2.1", "--json")
    assert json.loads(outcome.out)["secret"] == "s3cret"
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("addresses", "public", "tcp"),
    [
        (("192.0.2.1",), ("0.0.0.0:443", "0.0.0.0:80"), "0.0.0.0"),
        (("192.0.2.1", "2001:db8::1"), ("[::]:443", "[::]:80"), "::"),
    ],
)
def test_a_new_edges_file_is_read_by_the_edge(
    pinggy: Pinggy,
    new_edge: operator.NewEdge,
    tmp_path: Path,
    addresses: tuple[str, ...],
    public: tuple[str, ...],
    tcp: str,
) -> None:
    outcome = pinggy(
        "edge", "add", "eu1", "--region", "eu", "--address", *addresses, "--core-url", "https://core.example:7443"
    )
    assert outcome.status == 0
    assert "s3cret" not in outcome.err
    assert "this machine" not in outcome.err
    file = tmp_path / "edge.toml"
    file.write_text(outcome.out)
    settings = load(EdgeSettings, file)
    assert settings.core.url == "https://core.example:7443"
    assert settings.core.secret.reveal() == "s3cret"
    assert settings.listen.public == public
    assert settings.listen.tcp == tcp
    assert len(settings.host_keys) == 2
    assert [each.gate for each in settings.zone.servers] == [True, True]


def test_a_new_edges_file_says_where_the_core_is_for_this_command(
    pinggy: Pinggy, core: FakeCore, new_edge: operator.NewEdge
) -> None:
    outcome = pinggy("edge", "add", "eu1", "--region", "eu", "--address", "192.0.2.1")
    assert tomllib.loads(outcome.out)["core"]["url"] == core.url
    assert f"core.url {core.url} is of this machine" in outcome.err
    assert "its zone.servers are examples" in outcome.err


def test_a_new_edges_file_has_the_servers_of_the_core(
    pinggy: Pinggy, new_edge: operator.NewEdge, tmp_path: Path
) -> None:
    core_file = tmp_path / "core.toml"
    core_file.write_text(
        "[core]\nlease = 1\n[core.zone]\nttl = 5\n"
        '[[core.zone.servers]]\nurl = "https://ns1.b.example:8443"\ndns = "192.0.2.1:53"\nkey = "reads-the-zone"\n'
        'ca = "/etc/pinggy/gates.pem"\n'
        '[[core.zone.servers]]\nurl = "http://127.0.0.1:8081"\ndns = "[::1]:53"\nkey = "of-powerdns"\ngate = false\n'
    )
    words = ("edge", "add", "eu1", "--region", "eu", "--address", "192.0.2.1", "--core-settings", str(core_file))
    outcome = pinggy(*words)
    assert "examples" not in outcome.err
    edge_file = tmp_path / "edge.toml"
    edge_file.write_text(outcome.out)
    gate, powerdns = load(EdgeSettings, edge_file).zone.servers
    assert (gate.url, gate.dns, gate.gate) == ("https://ns1.b.example:8443", "192.0.2.1:53", True)
    assert (gate.key, gate.ca) == (None, Path("/etc/pinggy/gates.pem"))
    assert (powerdns.gate, powerdns.key) == (False, Secret("of-powerdns"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read: No such file"),
        ("no toml", "does not hold the core's settings"),
        ("core = 5", "does not hold the core's settings"),
        ("[core]", "name no servers of the zone"),
        ("[[core.zone.servers]]", "core.zone.servers[0].url is missing"),
    ],
)
def test_settings_of_a_core_that_are_of_no_use(
    pinggy: Pinggy, core: FakeCore, tmp_path: Path, text: str | None, why: str
) -> None:
    file = tmp_path / "core.toml"
    if text is not None:
        file.write_text(text)
    outcome = pinggy("edge", "add", "eu1", "--region", "eu", "--address", "192.0.2.1", "--core-settings", str(file))
    assert (outcome.status, outcome.out) == (1, "")
    assert why in outcome.err
    assert not core.asked, "no edge was added"


def test_nothing_of_a_strange_core_leaves_its_string(pinggy: Pinggy, core: FakeCore) -> None:
    nasty = 'x"\n[core]\nurl = "y\\\x1b\x7f'
    core.answer("POST", paths.EDGES, operator.NewEdge(name=nasty, region=nasty, secret=Secret(nasty)))
    read = tomllib.loads(pinggy("edge", "add", "eu1", "--region", "eu", "--address", "192.0.2.1").out)
    assert read["core"] == {"url": core.url, "secret": 'x"?[core]?url = "y\\??'}


def test_edge_remove(pinggy: Pinggy, core: FakeCore) -> None:
    assert pinggy("edge", "remove", "eu/1").err == "Edge eu/1 is admitted no longer.\n"
    assert core.asked[-1][:2] == ("DELETE", f"{paths.EDGES}/eu%2F1")


def test_edge_list(pinggy: Pinggy, core: FakeCore) -> None:
    row = operator.Edge(name="eu1", region="eu", addresses=("192.0.2.1", "2001:db8::1"), created=CREATED, tunnels=4)
    core.answer("GET", paths.EDGES, operator.Edges(edges=(row,)))
    assert pinggy("edge", "list").out.splitlines()[1].split() == [
        "eu1", "eu", "-", "4", "-", *SHOWN.split(), "-", "-", "192.0.2.1,", "2001:db8::1",
    ]  # fmt: skip


def test_edge_drain_and_undrain(pinggy: Pinggy, core: FakeCore) -> None:
    for act, said in (("drain", "takes no new tunnels, and sends its own away"), ("undrain", "takes tunnels again")):
        core.answer("POST", f"{paths.EDGES}/eu%2F1/{act}", Done())
        assert pinggy("edge", act, "eu/1").err == f"Edge eu/1 {said}.\n"
    row = operator.Edge(name="eu1", region="eu", addresses=("192.0.2.1",), created=CREATED, seen=CREATED)
    edges = operator.Edges(edges=(row, replace(row, name="eu2", draining=True)))
    core.answer("GET", paths.EDGES, edges)
    lines = pinggy("edge", "list").out.splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["serving", "draining"]


def test_where_an_edge_is(pinggy: Pinggy, core: FakeCore, new_edge: operator.NewEdge) -> None:
    add = ("edge", "add", "eu1", "--region", "eu", "--address", "192.0.2.1", "--secret-only")
    assert pinggy(*add, "--at=-33.87,151.21", "--aws-region", "ap-southeast-2").status == 0
    added = decode(operator.AddEdge, core.asked[-1][2])
    assert (added.latitude, added.longitude, added.aws_region) == (-33.87, 151.21, "ap-southeast-2")
    core.answer("POST", paths.EDGE_PLACES, Done())
    for options, said in (
        (("--at", "53,-6.26"), operator.PlaceEdge(name="eu1", latitude=53.0, longitude=-6.26)),
        ((), operator.PlaceEdge(name="eu1")),
    ):
        assert pinggy("edge", "place", "eu1", *options).status == 0
        assert decode(operator.PlaceEdge, core.asked[-1][2]) == said
    row = operator.Edge(
        name="eu1", region="eu", addresses=("192.0.2.1",), created=CREATED, latitude=53.0, longitude=-6.26,
        aws_region="eu-west-1",
    )  # fmt: skip
    core.answer("GET", paths.EDGES, operator.Edges(edges=(row,)))
    assert "53,-6.26  eu-west-1   192.0.2.1" in pinggy("edge", "list").out


@pytest.mark.parametrize("at", ["53", "53,x", "91,0", "0,181", "nan,0", "1,2,3", ""])
def test_places_that_are_none(pinggy: Pinggy, core: FakeCore, at: str) -> None:
    outcome = pinggy("edge", "place", "eu1", f"--at={at}")
    assert outcome.status == 2
    assert "--at" in outcome.err
    assert core.asked == []


def test_tunnel_list(pinggy: Pinggy, core: FakeCore) -> None:
    rows = (tunnel("0123456789ab" + "0" * 20, account="me", live=False), tunnel("0123456789cd" + "0" * 20))
    core.answer("GET", paths.TUNNELS, operator.Tunnels(tunnels=rows))
    lines = pinggy("tunnel", "list").out.splitlines()
    assert lines[0].split()[0] == "TUNNEL"
    assert [line.split()[0] for line in lines[1:]] == ["0123456789a", "0123456789c"]
    assert " opening " in lines[1]
    assert " live " in lines[2]
    assert lines[2].endswith("http blog")
    assert "1.5 kB" in lines[2]


def test_tunnel_history(pinggy: Pinggy, core: FakeCore) -> None:
    ended = tunnel("ab" * 16, live=False, ended=CREATED, reason="client-left")
    core.answer("GET", f"{paths.TUNNELS}?account=me&history=1", operator.Tunnels(tunnels=(ended,)))
    line = pinggy("tunnel", "list", "--history", "--account", "me").out.splitlines()[1]
    assert line.startswith("abababab ")
    assert f"{SHOWN}  client-left  http blog" in line


def test_tunnel_close_by_the_beginning_of_its_id(pinggy: Pinggy, core: FakeCore) -> None:
    one, two = "abcdef1" + "0" * 25, "abcdef2" + "0" * 25
    core.answer("GET", paths.TUNNELS, operator.Tunnels(tunnels=(tunnel(one), tunnel(two))))
    assert pinggy("tunnel", "close", "ABCDEF1").err == f"Tunnel {one} is closed.\n"
    assert core.asked[-1][:2] == ("DELETE", f"{paths.TUNNELS}/{one}")
    assert "2 tunnels' ids begin with abcdef" in pinggy("tunnel", "close", "abcdef").err
    assert "No live tunnel's id begins with 123456" in pinggy("tunnel", "close", "123456").err
    core.asked.clear()
    assert pinggy("tunnel", "close", two).status == 0
    assert [asked[0] for asked in core.asked] == ["DELETE"]


def test_json_is_the_message_as_it_came(pinggy: Pinggy, core: FakeCore) -> None:
    core.answer("GET", paths.ACCOUNTS, b'{"accounts":[],"newer":"\\u001b\x7f"}')
    for words in (("--json", "account", "list"), ("account", "list", "--json")):
        outcome = pinggy(*words)
        assert outcome.out == '{\n  "accounts": [],\n  "newer": "\\u001b\\u007f"\n}\n'
        assert outcome.err == ""
    token = operator.NewToken(token=Secret("whole"), prefix="w", account="me")
    core.answer("POST", paths.TOKENS, token)
    assert json.loads(pinggy("token", "add", "me", "--json").out)["token"] == "whole"
    assert pinggy("token", "revoke", "w", "--json").out == "{}\n"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("account",),
        ("account", "remove"),
        ("account", "add"),
        ("port", "reserve", "me", "0"),
        ("port", "reserve", "me", "65536"),
        ("port", "release", "x" * 5000),
        ("edge", "add", "eu", "--region", "eu"),
        ("edge", "add", "eu", "--region", "eu", "--address", "host.example"),
        ("edge", "add", "eu", "--region", "eu", "--address", "192.0.2.1", "--core-url", "http://192.0.2.1:7070"),
        ("tunnel", "close", "abcde"),
        ("tunnel", "close", "not-hex"),
        ("account", "list", "--unknown"),
    ],
)
def test_usage_errors_have_status_2(pinggy: Pinggy, core: FakeCore, words: tuple[str, ...]) -> None:
    outcome = pinggy(*words)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("usage: pinggy")
    assert not core.asked


@pytest.mark.parametrize(
    "words",
    [
        "account add", "account list", "token add", "token list", "token revoke", "key add", "key list", "key revoke",
        "name reserve", "name list", "name release", "port reserve", "port list", "port release", "edge add",
        "edge list", "edge place", "edge drain", "edge undrain", "edge remove", "tunnel list", "tunnel close",
        "zone init", "zone show", "zone check",
        "zone key",
    ],
)  # fmt: skip
def test_every_command_has_help_with_examples(pinggy: Pinggy, words: str) -> None:
    outcome = pinggy(*words.split(), "--help")
    assert outcome.status == 0
    assert f"examples:\n  pinggy {words}" in outcome.out


def test_a_refusal_is_its_sentence(pinggy: Pinggy, core: FakeCore) -> None:
    refused = Refused(code="conflict", text="There is an account \x1b[1mme already.")
    core.answer("POST", paths.ACCOUNTS, refused, status=409)
    outcome = pinggy("account", "add", "me")
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == "pinggy: There is an account ?[1mme already.\n"


def test_a_wrong_key_is_named_by_its_file(pinggy: Pinggy, state: Path) -> None:
    (state / "operator.key").write_text("another-key")
    outcome = pinggy("account", "list")
    assert outcome.status == 1
    assert outcome.err == "pinggy: This call needs the operator's key. (The key was that of var/operator.key.)\n"
    assert "another-key" not in outcome.err


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"<html>", "another version than this command: The body is not JSON."),
        (200, b'{"accounts": 5}', "another version than this command: Accounts.accounts must be a list."),
        (200, b" " * (1024 * 1024 + 1), "too long"),
        (500, b"<html>", "not a core, or a broken one: it answered 500"),
        (302, b"", "not a core, or a broken one: it answered 302"),
    ],
)
def test_answers_that_are_no_messages(pinggy: Pinggy, core: FakeCore, status: int, body: bytes, why: str) -> None:
    core.answer("GET", paths.ACCOUNTS, body, status)
    outcome = pinggy("account", "list")
    assert (outcome.status, outcome.out) == (1, "")
    assert why in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_core_that_is_away(pinggy: Pinggy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    outcome = pinggy("account", "list", "--core", url)
    assert outcome.status == 1
    assert f"The core at {url} cannot be reached (Connection refused): start the service" in outcome.err
