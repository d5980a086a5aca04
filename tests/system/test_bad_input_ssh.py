"""
Whatever a stranger says to the SSH side: a sentence or the end of the connection, and nobody else notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import String, UInt32

from tests.support.service import PATIENCE, Service
from tests.system.tools import LOOPBACK, tunnel, visit


@pytest.fixture(autouse=True)
def bystander(service: Service) -> Iterator[None]:
    """Somebody else's tunnel and visitor, who must notice nothing; and the log, which must not either."""
    with tunnel(service) as (_, name):
        visitor = http.client.HTTPConnection(LOOPBACK, service.http_port, timeout=PATIENCE)

        def ask() -> int:
            visitor.request("GET", "/", headers={"Host": f"{name}.a.localhost"})
            response = visitor.getresponse()
            assert response.read() == b"hello from the laptop"
            return response.status

        assert ask() == 200
        yield
        assert ask() == 200
        visitor.close()
        assert visit(service, name)[0] == 200
    assert service.failures() == []


@contextlib.asynccontextmanager
async def client(service: Service, user: str) -> AsyncIterator[asyncssh.SSHClientConnection]:
    class Client(asyncssh.SSHClient):
        def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
            # Given in the proper way, it would not send every name.
            conn._username = user

    async with asyncssh.connect(
        LOOPBACK,
        service.https_port,
        client_factory=Client,
        username="somebody",
        password="",
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        config=None,
        login_timeout=PATIENCE,
    ) as connection:
        yield connection


async def forward(connection: asyncssh.SSHClientConnection, bind: bytes, port: int = 1) -> bool:
    """Ask for one forwarding, with any bytes for its name; whether it was granted."""
    kind, _ = await connection._make_global_request(b"tcpip-forward", String(bind), UInt32(port))
    return bool(kind == 81)


# -- names and users ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        ("x" * 1_000_000, "too long"),
        ("pgy-" + "x" * 100_000, "too long"),
        ("+".join(["tcp"] * 10_000), "too long"),
        ("http+" + "\N{PILE OF POO}" * 10, "The keyword '??????????' is unknown"),
        ("tcp+udp", "Two types at once, 'tcp' and 'udp'"),
        ("tcp+nonsense\n2026-11-23T00:00:00+0000 a line of the stranger's own", "The keyword 'nonsense?2026"),
        ("..", None),
        ("\x1b[31mred\n2026-11-23T00:00:00Z a line of the stranger's own", None),
    ],
    ids=["1 MB", "long token", "many keywords", "emoji", "two types", "newline", "dots", "escape"],
)
def test_a_user_name_that_is_none(service: Service, user: str, sentence: str | None) -> None:
    async def log_in() -> str | None:
        try:
            async with client(service, user) as connection:
                assert await forward(connection, b"localhost", 0)
                return None
        except asyncssh.Error as error:
            return error.reason

    said = asyncio.run(asyncio.wait_for(log_in(), PATIENCE))
    if sentence is None:
        assert said is None, "a login name without a token is nobody's"
    else:
        assert said is not None
        assert sentence in said
        assert len(said) < 300
        assert said.isascii()
        assert said.isprintable()
    assert "stranger's own" not in service.log.read_text()
    assert "\x1b" not in service.log.read_text()


@pytest.mark.parametrize(
    "command",
    ["x" * 1_000_000, "a:X:y " * 160_000, '"' * 100_001, "w:" + "10.0.0.0/8," * 90_000, "\0" * 1000, "\udcff"],
)
def test_a_command_that_is_none_ends_its_own_tunnel(service: Service, command: str) -> None:
    async def run() -> tuple[int | None, str]:
        async with client(service, "") as connection:
            assert await forward(connection, b"localhost", 0)
            words: Any = command.encode("utf-8", "surrogateescape")
            process = await connection.create_process(words, encoding="utf-8", errors="replace")
            done = await process.wait()
            return done.exit_status, str(done.stdout)

    status, said = asyncio.run(asyncio.wait_for(run(), PATIENCE))
    assert status == 1
    assert said.endswith(".\n")
    assert len(said) < 300
    assert said[:-1].isascii()
    assert said[:-1].isprintable(), "that is one line too"


def test_names_that_are_none_are_refused_each_with_its_sentence(service: Service) -> None:
    service.new_token("owner-of-names")
    service.pinggy("name", "reserve", "owner-of-names", "not-yours")
    token = service.new_token("asker-of-names")
    names: dict[bytes, str] = {
        b"not-yours": "The name not-yours is reserved by another account: choose another.",
        b"x" * 64: f"The name {'x' * 64} is too long: 63 characters at the most.",
        b"x" * 500: "is too long: 63 characters at the most.",
        b"x" * 500_000: "",
        b"\xff\xfe\xfd": "",
        b"a..b": "is not well formed",
        b"..": "is not well formed",
        b"-x": "is not well formed",
        b"a b": "is not well formed",
        b"Upper": "The name Upper has upper-case letters: write upper.",
        "b\u00fccher".encode(): "is not plain ASCII",
        b"xn--bcher-kva": "is not plain ASCII",
        b"nul\0l": "",
        b"new\nline": "",
        b"\x1b[31m": "",
        b"http//": "",
        b"nonsense//x": "",
        b"a/b/c/d": "",
        b"x/99999999": "",
        b"@": "",
        b"": "",
    }

    async def ask() -> dict[bytes, str]:
        said = {}
        async with client(service, token) as connection:
            assert await forward(connection, b"names-good")
            process = await connection.create_process("")
            assert "names-good" in await process.stdout.readline()
            assert "names-good" in await process.stdout.readline()
            for name in names:
                if name == b"":
                    # Nothing is asked for: the default forwarding.
                    assert await forward(connection, name)
                    await process.stdout.readline()
                    said[name] = (await process.stdout.readline()).rstrip("\n")
                    continue
                assert not await forward(connection, name), name
                said[name] = (await process.stdout.readline()).rstrip("\n")
            process.close()
        return said

    said = asyncio.run(asyncio.wait_for(ask(), PATIENCE))
    for name, sentence in names.items():
        assert sentence in said[name]
        assert said[name].isprintable(), said[name]
        assert len(said[name]) < 300, said[name]


def test_ten_thousand_forwardings_of_one_connection(service: Service) -> None:
    token = service.new_token("ten-thousand")

    async def ask() -> list[bool]:
        async with client(service, token) as connection:
            asked = [forward(connection, f"many-{number}".encode()) for number in range(10_000)]
            granted = await asyncio.gather(*asked)
            # It is live: the refusal of a channel that asyncssh did not expect came to the visitor.
            assert (await asyncio.to_thread(visit, service, f"many-{granted.index(True)}"))[0] == 502
            return granted

    granted = asyncio.run(asyncio.wait_for(ask(), PATIENCE))
    assert sum(granted) == 20, "as many as the setting limits.forwardings_per_tunnel allows"


def test_channels_and_requests_that_nobody_offers(service: Service) -> None:
    async def ask() -> None:
        async with client(service, "") as connection:
            assert await forward(connection, b"localhost", 0)
            for port in (22, 80, service.core_port, 4301):
                with pytest.raises(asyncssh.ChannelOpenError, match="Only localhost:4300"):
                    await connection.open_connection(LOOPBACK, port)
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_unix_connection("/etc/passwd")
            for subsystem in ("sftp", "x" * 100_000):
                with pytest.raises(asyncssh.ChannelOpenError):
                    await connection.create_process(subsystem=subsystem)
            kind, _ = await connection._make_global_request(b"x" * 1000, b"\xff" * 1000)
            assert kind == 82
            assert not await forward(connection, b"localhost", 2**31)

    asyncio.run(asyncio.wait_for(ask(), PATIENCE))


# -- packets ----------------------------------------------------------------------------------------------------------


def kexinit() -> bytes:
    """The payload of a client's SSH_MSG_KEXINIT (RFC 4253 7.1) that this server would agree to."""
    lists = (
        b"curve25519-sha256",
        b"ssh-ed25519",
        *(b"aes128-ctr", b"aes128-ctr"),
        *(b"hmac-sha2-256", b"hmac-sha2-256"),
        *(b"none", b"none"),
        *(b"", b""),
    )
    return b"\x14" + bytes(16) + b"".join(struct.pack(">L", len(each)) + each for each in lists) + bytes(5)


def packet(payload: bytes) -> bytes:
    """*payload* as a packet without a key (RFC 4253 6)."""
    padding = 8 - (len(payload) + 5) % 8 + 8
    return struct.pack(">LB", len(payload) + padding + 1, padding) + payload + bytes(padding)


BANNER = b"SSH-2.0-stranger\r\n"


def say(service: Service, said: bytes) -> None:
    """Say it and go."""
    with (
        socket.create_connection((LOOPBACK, service.https_port), PATIENCE) as stranger,
        contextlib.suppress(OSError),  # it may have heard enough
    ):
        stranger.sendall(said)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(65536):
            pass


def answer(service: Service, said: bytes, until: bytes = b"") -> bytes:
    """All that the server says to *said*, until it says *until* or closes."""
    heard = b""
    with socket.create_connection((LOOPBACK, service.https_port), PATIENCE) as stranger:
        stranger.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            while not (until and until in heard) and (data := stranger.recv(65536)):
                heard += data
    return heard


def test_what_is_spoilt_below_was_good(service: Service) -> None:
    """Else those tests would try nothing: this server goes on with the key exchange, up to its host key."""
    exchange = packet(b"\x1e" + struct.pack(">L", 32) + os.urandom(32))
    assert b"ssh-ed25519\x00\x00\x00\x20" in answer(
        service, BANNER + packet(kexinit()) + exchange, b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"
    )


def test_what_follows_the_banner_may_be_anything(service: Service) -> None:
    chance = random.Random(1)
    good = packet(kexinit())
    said = [BANNER + chance.randbytes(size) for size in (1, 3, 4, 5, 8, 100, 5000, 100_000)]
    said += [BANNER + good[:size] for size in range(0, len(good), 9)]
    for _ in range(60):
        flipped = bytearray(good)
        for _ in range(chance.choice((1, 1, 8))):
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        said.append(BANNER + bytes(flipped) + packet(b"\x1e" + struct.pack(">L", 32) + chance.randbytes(32)))
    for length in (0, 1, 4, 5, 7, 12, 35_001, 2**20):
        said += [BANNER + struct.pack(">LB", length, padding) + bytes(64) for padding in (0, 4, 255)]
    for number in range(256):
        said.append(BANNER + good + packet(bytes([number]) + chance.randbytes(40)))
    for each in said:
        say(service, each)


@pytest.mark.parametrize("length", [2**20 + 1, 2**31, 2**32 - 1])
def test_a_packet_that_claims_to_be_huge_is_the_last(service: Service, length: int) -> None:
    assert b"SSH-2.0-pinggy" in answer(service, BANNER + struct.pack(">LB", length, 4) + bytes(64))


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-1.5-old\r\n",
        b"SSH-" + b"x" * 1_000_000,
        b"SSH-2.0-" + b"\xff" * 200 + b"\r\n",
        b"SSH-2.0-\r\n" * 1000,
        b"SSH-2.0-x\n" + packet(kexinit()) * 100,
        b"SSH-2.0-x\r\n" + packet(b"\x01" + struct.pack(">LL", 2, 2**31) + b"bye"),
        b"SSH-2.0-x\r\n" + packet(b"\x02" + struct.pack(">L", 2**32 - 1)) * 100,
    ],
)
def test_banners_and_first_packets_that_are_none(service: Service, said: bytes) -> None:
    say(service, said)


def test_packets_within_the_encryption_may_be_anything(service: Service) -> None:
    """After the login: every message number, with garbage behind it."""
    chance = random.Random(2)

    async def try_packet(number: int, payload: bytes) -> None:
        async with client(service, "") as connection:
            assert await forward(connection, b"localhost", 0)
            process = await connection.create_process("")
            await process.stdout.readline()
            connection.send_packet(number, payload)
            with contextlib.suppress(asyncssh.Error, OSError):
                await forward(connection, b"after-it")

    async def say_all() -> None:
        # 20 and 21 change keys, which asyncssh itself would have to know of.
        numbers = [*range(1, 8), 50, 60, 61, *range(80, 83), *range(90, 101), 192, 255]
        for number in numbers:
            await asyncio.gather(
                *(try_packet(number, payload) for payload in (b"", b"\0\0\0\0", chance.randbytes(9), os.urandom(60)))
            )

    asyncio.run(asyncio.wait_for(say_all(), PATIENCE))
