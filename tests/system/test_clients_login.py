"""
Who is let in, and how: every manner of SSH authentication, tokens, keys and keywords.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path

import asyncssh
import pytest

from tests.support.local_servers import WebServer
from tests.support.openssh import asyncssh_lines, asyncssh_options, dbclient, ssh
from tests.support.public import ask
from tests.support.service import Service

ANONYMOUS = "You are not authenticated."


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key that nobody has registered; its public half stands beside it."""
    file = tmp_path_factory.mktemp("keys") / "id_ed25519"
    _make_key(file)
    return file


def _make_key(file: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)


class Answering(asyncssh.SSHClient):
    """Logs in by *method* alone, answers the questions of keyboard-interactive and keeps them."""

    def __init__(self, method: str) -> None:
        self.questions: list[str] = []
        self._method = method

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        # It asks by none first, whatever it is told to prefer; here that would be the end of the question.
        conn._auth_methods = [self._method.encode()]

    def kbdint_auth_requested(self) -> str:
        return ""

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str]:
        self.questions += [prompt for prompt, _ in prompts]
        return ["whatever"] * len(prompts)


async def first_line(service: Service, user: str, method: str, **more: object) -> tuple[str, Answering]:
    """The first line of a tunnel that logs in by *method*, and what was asked on the way."""
    client = Answering(method)
    connection, _ = await asyncssh.create_connection(lambda: client, **asyncssh_options(service, user, **more))
    async with connection:
        await connection.forward_remote_port("", 0, "127.0.0.1", 1)
        (line,) = await asyncssh_lines(await connection.create_process(), 1)
    return line, client


# -- methods -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["none", "publickey", "password", "keyboard-interactive"])
@pytest.mark.parametrize("has_token", [False, True])
def test_every_method_will_do(service: Service, key: Path, method: str, has_token: bool) -> None:
    user = service.new_token("methods") if has_token else "nobody"
    more: dict[str, object] = {}
    if method == "publickey":
        more["client_keys"] = [str(key)]
    if method == "password":
        more["password"] = ""
    line, client = asyncio.run(first_line(service, user, method, **more))
    assert line.startswith("http://") if has_token else line == ANONYMOUS
    assert client.questions == (["Password: "] if method == "keyboard-interactive" else [])


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_the_keyword_auth_asks_and_any_answer_passes(service: Service, method: str) -> None:
    line, client = asyncio.run(first_line(service, "auth", method, password="anything"))
    assert line == ANONYMOUS
    assert client.questions == (["Password: "] if method == "keyboard-interactive" else [])


def test_the_keyword_auth_refuses_the_method_none(service: Service) -> None:
    """In batch mode OpenSSH has no password to offer."""
    with ssh(service, "-T", "-R0:localhost:1", user="auth", merged=True) as client:
        exit_status, lines = client.end()
    assert exit_status == 255
    assert "Permission denied (password,keyboard-interactive)." in lines[-1]


# -- tokens ------------------------------------------------------------------------------------------------------


def _prefix(token: str) -> str:
    """The part that may be shown."""
    return token.removeprefix("pgy-")[:7]


def _mistyped(token: str) -> str:
    return token[:-1] + ("a" if token[-1] != "a" else "b")


def test_a_mistyped_token_is_refused_with_a_sentence(service: Service) -> None:
    with ssh(service, "-T", "-R0:localhost:1", user=_mistyped(service.token), merged=True) as client:
        exit_status, lines = client.end()
    assert exit_status == 255
    assert "This token is mistyped: its checksum does not fit. Copy it again, the whole of it." in lines
    assert not any("://" in line for line in lines)


def test_a_revoked_token_is_refused_with_a_sentence(service: Service) -> None:
    token = service.new_token("revoked")
    prefix = _prefix(token)
    service.pinggy("token", "revoke", prefix)
    with ssh(service, "-T", "-R0:localhost:1", user=token, merged=True) as client:
        exit_status, lines = client.end()
    assert exit_status == 255
    assert f"The token {prefix}... is unknown or has been revoked: ask the operator for a new one." in lines


@pytest.mark.parametrize("client_kind", ["dbclient", "asyncssh"])
def test_other_clients_show_the_sentence_too(service: Service, client_kind: str) -> None:
    sentence = "This token is mistyped"
    if client_kind == "dbclient":
        with dbclient(service, "-R", "0:localhost:1", user=_mistyped(service.token), merged=True) as client:
            assert client.lines.until(sentence)
    else:
        with pytest.raises(asyncssh.DisconnectError, match=sentence):
            asyncio.run(first_line(service, _mistyped(service.token), "none"))


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        ("http+tcp", "Two types at once, 'http' and 'tcp'"),
        ("nobody+tpc", "The keyword 'tpc' is unknown"),
        ("TOKEN+tls+forse", "The keyword 'forse' is unknown"),
        ("x" * 300, "This user name is too long: 256 bytes at the most."),
    ],
)
def test_wrong_words_in_the_user_name_are_named(service: Service, user: str, sentence: str) -> None:
    with ssh(service, "-T", "-R0:localhost:1", user=user.replace("TOKEN", service.token), merged=True) as client:
        assert client.lines.until(sentence)
        assert client.end()[0] == 255


@pytest.mark.parametrize("user", ["TCP", "Tcp+FORCE", "someone+TCP"])
def test_keywords_may_be_in_upper_case(service: Service, user: str) -> None:
    with ssh(service, "-T", "-R0:localhost:1", user=user) as client:
        assert client.next(1) == [ANONYMOUS]
        assert client.url("tcp")


# -- keys --------------------------------------------------------------------------------------------------------


def test_a_registered_key_identifies_its_account(service: Service, web: WebServer, tmp_path: Path) -> None:
    file = tmp_path / "id"
    _make_key(file)
    service.pinggy("account", "add", "keyholder")
    service.pinggy("name", "reserve", "keyholder", "by-key")
    service.pinggy("key", "add", "keyholder", str(file.with_suffix(".pub")))
    with ssh(service, "-T", "-i", str(file), f"-R0:localhost:{web.port}", user="key") as client:
        url = f"http://by-key.a.localhost:{service.http_port}"
        assert client.next(1) == [url]
        assert ask(service, url)["method"] == "GET"


def test_of_several_keys_the_registered_one_is_found(service: Service, key: Path, tmp_path: Path) -> None:
    file = tmp_path / "id"
    _make_key(file)
    service.pinggy("account", "add", "second-key")
    service.pinggy("key", "add", "second-key", str(file.with_suffix(".pub")))
    with ssh(service, "-T", "-i", str(key), "-i", str(file), "-R0:localhost:1", user="key+tcp") as client:
        assert client.next(1)[0] != ANONYMOUS


def test_an_unregistered_key_is_refused_with_a_sentence(service: Service, key: Path) -> None:
    with ssh(service, "-T", "-i", str(key), "-R0:localhost:1", user="key", merged=True) as client:
        assert client.lines.until("A key that your ssh offered is not registered here: have the operator add it.")
        exit_status, lines = client.end()
    assert exit_status == 255
    assert "Permission denied (publickey)." in lines[-1]


def test_without_the_keyword_an_unregistered_key_is_as_good_as_none(service: Service, key: Path) -> None:
    with ssh(service, "-T", "-i", str(key), "-R0:localhost:1") as client:
        assert client.next(1) == [ANONYMOUS]


# -- busy names --------------------------------------------------------------------------------------------------


def test_a_busy_name_is_refused_without_force_and_taken_with_it(service: Service, web: WebServer) -> None:
    token = service.new_token("busy")
    service.pinggy("name", "reserve", "busy", "busy")
    address = f"http://busy.a.localhost:{service.http_port}"
    forward = f"-R0:localhost:{web.port}"
    with ssh(service, "-T", "-R0:localhost:1", user=token) as first:
        assert first.next(1) == [address]

        with ssh(service, "-T", forward, user=token) as refused:
            exit_status, lines = refused.end()
        assert exit_status == 1
        assert lines == [f"Login is not allowed: A tunnel with the same token ({_prefix(token)}) is already active."]

        with ssh(service, "-T", forward, user=f"{token}+force") as second:
            assert second.next(1) == [address]
            exit_status, lines = first.end()
            assert exit_status == 1
            assert lines[-1] == "Taken over: a newer session from 127.0.0.1 has started with force."
            assert ask(service, address)["method"] == "GET"


def test_one_token_holds_several_names_at_once(service: Service) -> None:
    token = service.new_token("several")
    with (
        ssh(service, "-T", "-Rseveral-1:0:localhost:1", user=token) as first,
        ssh(service, "-T", "-Rseveral-2:0:localhost:1", user=token) as second,
    ):
        assert first.url() != second.url()


def test_force_without_an_account_changes_nothing(service: Service) -> None:
    with (
        ssh(service, "-T", "-R0:localhost:1", user="force") as first,
        ssh(service, "-T", "-R0:localhost:1", user="force") as second,
    ):
        assert first.url() != second.url()
        assert first.process.poll() is None


def test_a_name_of_another_account_is_not_had_even_by_force(service: Service) -> None:
    user = service.new_token("envious") + "+force"
    with ssh(service, "-T", "-Rhello:1:localhost:1", user=user) as client:
        assert client.end() == (1, ["The name hello is reserved by another account: choose another."])
