"""
Every algorithm that a client shares with us, with the real client: OpenSSH, dropbear's dbclient, asyncssh. Each logs
in, and its tunnel carries bytes both ways.
"""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess

import asyncssh
import pytest
from asyncssh.kex import get_kex_algs

from pinggy.edge.ssh.packets.names import CIPHERS, MACS
from pinggy.edge.ssh.transport import Transport
from tests.support.local_servers import WebServer, blocks, digest_of
from tests.support.openssh import asyncssh_options, dbclient, ssh
from tests.support.public import ask
from tests.support.service import Service

SIZE = 256 * 1024
BODY = b"".join(blocks(SIZE))


def known(what: str) -> list[str]:
    """The algorithms of this OpenSSH."""
    return subprocess.run(["ssh", "-Q", what], text=True, capture_output=True, check=True).stdout.split()


def carries(url: str, path: str = "/digest") -> bool:
    """Whether bytes sent to *url* arrive, and as many come back."""
    done = subprocess.run(
        ["curl", "-s", "--fail", "-X", "PUT", "--data-binary", "@-", "-H", "Expect:", f"{url}{path}"],
        input=BODY,
        capture_output=True,
        check=True,
    )
    back = subprocess.run(["curl", "-s", "--fail", f"{url}/bytes/{SIZE}"], capture_output=True, check=True)
    return digest_of(SIZE).encode() in done.stdout and len(back.stdout) == SIZE


# Without a file of moduli a server has no group exchange to offer.
KEX = [name.decode() for name in Transport.supportedKeyExchanges if b"group-exchange" not in name]
AEAD = [name.decode() for name, cipher in CIPHERS.items() if cipher.aead]
WITH_MAC = [(cipher.decode(), mac.decode()) for cipher, named in CIPHERS.items() if not named.aead for mac in MACS]
SUITES = [*((cipher, "hmac-sha2-256") for cipher in AEAD), *WITH_MAC]


@pytest.mark.parametrize(("cipher", "mac"), SUITES)
def test_openssh_with_each_cipher_and_mac(service: Service, web: WebServer, cipher: str, mac: str) -> None:
    with ssh(service, "-T", "-c", cipher, "-m", mac, f"-R0:localhost:{web.port}") as client:
        assert carries(client.url())


@pytest.mark.parametrize("kex", [name for name in KEX if name in known("kex")])
def test_openssh_with_each_key_exchange(service: Service, web: WebServer, kex: str) -> None:
    with ssh(service, "-T", "-o", f"KexAlgorithms={kex}", f"-R0:localhost:{web.port}") as client:
        assert ask(service, f"{client.url()}/")["method"] == "GET"


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"])
def test_openssh_with_each_host_key(service: Service, web: WebServer, algorithm: str) -> None:
    with ssh(service, "-T", "-o", f"HostKeyAlgorithms={algorithm}", f"-R0:localhost:{web.port}") as client:
        assert ask(service, f"{client.url()}/")["method"] == "GET"


def test_openssh_as_it_comes_gets_aes_gcm_and_a_strict_key_exchange(service: Service, web: WebServer) -> None:
    with ssh(service, "-v", "-T", f"-R0:localhost:{web.port}", merged=True) as client:
        client.url()
        said = "\n".join(client.lines.seen)
    assert re.search(r"kex: server->client cipher: aes128-gcm@openssh.com MAC: <implicit>", said)
    assert re.search(r"kex: client->server cipher: aes128-gcm@openssh.com MAC: <implicit>", said)


@pytest.mark.parametrize("cipher", [AEAD[0], "aes128-ctr"])
def test_openssh_changes_keys_in_the_middle_of_bytes(service: Service, web: WebServer, cipher: str) -> None:
    with ssh(
        service, "-v", "-T", "-c", cipher, "-o", "RekeyLimit=1M", f"-R0:localhost:{web.port}", merged=True
    ) as client:
        url = client.url()
        size = 20 * 1024 * 1024
        back = subprocess.run(["curl", "-s", "--fail", f"{url}/bytes/{size}"], capture_output=True, check=True).stdout
        assert back == b"".join(blocks(size))
        assert carries(url)
        client.process.terminate()
        assert sum("SSH2_MSG_NEWKEYS received" in line for line in [*client.lines.seen, *client.lines.rest()]) > 5


def test_who_shares_nothing_with_us_reads_why(service: Service) -> None:
    with ssh(service, "-T", "-c", "aes128-cbc", "-R0:localhost:9", merged=True) as client:
        status, lines = client.end()
    assert status == 255
    assert "no matching cipher found" in "".join(lines)


@pytest.mark.parametrize("cipher", ["aes128-ctr", "aes256-ctr"])
def test_dbclient_with_each_cipher(service: Service, web: WebServer, cipher: str) -> None:
    with dbclient(service, "-c", cipher, "-m", "hmac-sha2-256", "-R", f"0:localhost:{web.port}") as client:
        assert carries(client.url())


@pytest.mark.parametrize("kex", [name for name in KEX if name.encode() in get_kex_algs()])
def test_asyncssh_with_each_key_exchange(service: Service, kex: str) -> None:
    async def log_in() -> None:
        async with asyncssh.connect(**asyncssh_options(service, kex_algs=[kex])):
            pass

    asyncio.run(asyncio.wait_for(log_in(), 60))


@pytest.mark.parametrize(("cipher", "mac"), SUITES)
def test_asyncssh_with_each_cipher_and_mac(service: Service, cipher: str, mac: str) -> None:
    async def visit() -> None:
        options = asyncssh_options(service, "tcp", encryption_algs=[cipher], mac_algs=[mac], rekey_bytes=100_000)
        async with asyncssh.connect(**options) as connection:
            # asyncssh itself is the local server: it sends back what comes.
            listener = await connection.start_server(lambda *_: echoing, "", 0)
            process = await connection.create_process("")
            url = ""
            while not url.startswith("tcp://"):
                url = (await process.stdout.readline()).strip()
            host, _, port = url.removeprefix("tcp://").rpartition(":")
            assert host
            reader, writer = await asyncio.open_connection("127.0.0.1", int(port), family=socket.AF_INET)
            writer.write(BODY)
            assert await reader.readexactly(len(BODY)) == BODY
            writer.close()
            listener.close()

    asyncio.run(asyncio.wait_for(visit(), 60))


async def echoing(reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
