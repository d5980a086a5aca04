"""
Other doors and other faces: SSH inside TLS, the http port, JSON lines, the debugger behind -L, a terminal of one's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import subprocess

import asyncssh
import pytest

from tests.support.local_servers import WebServer
from tests.support.openssh import asyncssh_lines, asyncssh_options, ssh, ssh_words
from tests.support.public import ask, curl, status
from tests.support.service import PATIENCE, Service, free_port

# -- doors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server_name", ["", "-servername a.localhost", "-noservername"])
def test_ssh_inside_tls(service: Service, web: WebServer, server_name: str) -> None:
    proxy = f"ProxyCommand=openssl s_client -quiet {server_name} -connect %h:%p 2>/dev/null"
    with ssh(service, "-T", "-o", proxy, f"-R0:localhost:{web.port}") as client:
        assert ask(service, client.url("https"), "--request", "GET")["method"] == "GET"
        client.process.terminate()
        assert client.end()[0] == 255


def test_ssh_on_the_port_that_is_meant_for_http(service: Service, web: WebServer) -> None:
    with ssh(service, "-T", f"-R0:localhost:{web.port}", port=service.http_port) as client:
        assert ask(service, client.url("http"))["method"] == "GET"


# -- lines as JSON -----------------------------------------------------------------------------------------------


def test_json_lines_say_the_same(service: Service) -> None:
    with ssh(service, "-T", "-R0:localhost:1", user="json+tcp") as client:
        first, second, third = (json.loads(line or "") for line in client.next(3))
        assert first == {"type": "notice", "message": "You are not authenticated."}
        assert second == {"type": "notice", "message": "Your tunnel will expire in 60 minutes."}
        assert third["type"] == "urls"
        assert [url.partition(":")[0] for url in third["urls"]] == ["tcp"]


def test_the_last_json_line_is_the_reason_of_the_end(service: Service) -> None:
    with ssh(service, "-T", "-R0:localhost:1", user="json", command=("x:typo",)) as client:
        exit_status, lines = client.end()
    assert exit_status == 1
    said = json.loads(lines[-1])
    assert said.pop("message").startswith("'x:typo' is not an option of this service.")
    assert said == {"type": "ended", "code": "unknown-argument"}


# -- the debugger behind -L --------------------------------------------------------------------------------------


def test_the_urls_can_be_asked_through_a_local_forwarding(service: Service) -> None:
    port = free_port()
    words = (f"-L{port}:localhost:4300", "-Rasked:1:localhost:1", "-Rtcp//:0:localhost:1")
    with ssh(service, "-T", *words, user=service.new_token("asked")) as client:
        urls = client.next(3)
        assert json.loads(curl(service, f"http://127.0.0.1:{port}/urls").stdout) == {"urls": urls}
        assert status(service, f"http://127.0.0.1:{port}/other") == 404


def test_it_can_be_asked_without_a_session_too(service: Service) -> None:
    port = free_port()
    with ssh(service, "-N", f"-L{port}:localhost:4300", "-R0:localhost:1", merged=True) as client:
        client.lines.until("Allocated port")
        assert len(json.loads(curl(service, f"http://127.0.0.1:{port}/urls").stdout)["urls"]) == 2


@pytest.mark.parametrize("target", ["localhost:22", "127.0.0.1:7070", "example.com:4300", "localhost:4301", "db:5432"])
def test_nothing_else_can_be_reached_through_the_edge(service: Service, target: str) -> None:
    host, _, port = target.partition(":")

    async def go() -> None:
        async with asyncssh.connect(**asyncssh_options(service)) as connection:
            await connection.forward_remote_port("", 0, "127.0.0.1", 1)
            with pytest.raises(asyncssh.ChannelOpenError, match=r"Only localhost:4300, the web debugger"):
                await connection.open_connection(host, int(port))
            # The tunnel stays.
            assert len(await asyncssh_lines(await connection.create_process(), 4)) == 4

    asyncio.run(go())


def test_what_else_a_client_can_ask_for_is_refused(service: Service) -> None:
    async def go() -> None:
        async with asyncssh.connect(**asyncssh_options(service)) as connection:
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_process(subsystem="sftp")
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_unix_connection("/var/run/docker.sock")
            with pytest.raises(asyncssh.ChannelListenError):
                await connection.forward_remote_path("/tmp/socket", "/tmp/other")

    asyncio.run(go())


# -- a terminal of one's own -------------------------------------------------------------------------------------


class Terminal:
    """ssh -tt on a pseudo-terminal of this process."""

    def __init__(self, words: list[str]) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
        os.close(theirs)
        self.text = b""

    def until(self, part: bytes) -> None:
        while part not in self.text:
            data = self._read()
            assert data, self.text
            self.text += data

    def rest(self) -> None:
        while data := self._read():
            self.text += data

    def _read(self) -> bytes:
        assert select.select([self._ours], [], [], PATIENCE)[0], self.text
        try:
            return os.read(self._ours, 4096)
        except OSError:
            return b""  # Linux says so when the other side is closed

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        os.close(self._ours)


@pytest.mark.parametrize("user", ["nobody", "qr", "aqr"])
def test_with_a_terminal_lines_end_with_crlf_and_ctrl_c_ends(service: Service, web: WebServer, user: str) -> None:
    terminal = Terminal(ssh_words(service, "-tt", f"-R0:localhost:{web.port}", user=user))
    try:
        terminal.until(b"https://")
        terminal.until(f":{service.https_port}\r\n".encode())
        lines = terminal.text.split(b"\r\n")
        assert lines[:2] == [b"You are not authenticated.", b"Your tunnel will expire in 60 minutes."]
        assert not any(b"\n" in line or b"\r" in line for line in lines)
        assert ask(service, lines[2].decode())["method"] == "GET"
        terminal.type(b"\x03")
        terminal.rest()
        assert terminal.process.wait(PATIENCE) == 1
        assert terminal.text.endswith(b"You have closed the tunnel.\r\n")
    finally:
        terminal.close()
    assert status(service, lines[2].decode()) == 404


def test_without_a_terminal_ctrl_c_kills_ssh_and_the_name_is_free(service: Service) -> None:
    token = service.new_token("interrupted")
    with ssh(service, "-T", "-Rinterrupted:1:localhost:1", user=token) as client:
        url = client.url()
        client.process.send_signal(2)
        assert client.end()[0] == 255
    with ssh(service, "-T", "-Rinterrupted:1:localhost:1", user=token) as client:
        assert client.url() == url
