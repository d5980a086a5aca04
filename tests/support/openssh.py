"""
Real ssh clients against a service: OpenSSH and dbclient as processes, asyncssh as a library.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import asyncssh

from tests.support.service import PATIENCE, Lines, Service


class Client:
    """One running ssh: *lines* is its standard output, or with *merged* also what ssh itself says."""

    def __init__(
        self, words: Sequence[str], *, merged: bool = False, environment: dict[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.DEVNULL,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.lines = Lines(self.process)

    def url(self, scheme: str = "http") -> str:
        """The next URL of *scheme* that is printed; the lines before it are passed over."""
        return self.lines.until(f"{scheme}://")

    def next(self, count: int) -> list[str | None]:
        """The next *count* lines."""
        return [self.lines.next() for _ in range(count)]

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def end(self) -> tuple[int, list[str]]:
        """Await its own end: exit status, and the lines not read so far."""
        rest = self.lines.rest()
        return self.process.wait(PATIENCE), rest

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        assert self.process.stdin is not None
        self.process.stdin.close()


def ssh_words(
    service: Service, *words: str, user: str = "", command: Sequence[str] = (), port: int | None = None
) -> list[str]:
    """The command line of OpenSSH; *words* are its options, *command* is what stands behind the host."""
    return [
        "ssh",
        *("-F", "none", "-p", str(port or service.https_port)),
        *("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"),
        *("-o", f"UserKnownHostsFile={service.known_hosts}", "-o", "GlobalKnownHostsFile=none"),
        # All ports present the same keys; the file of known hosts names one.
        *("-o", "IdentityAgent=none", "-o", f"HostKeyAlias=[127.0.0.1]:{service.https_port}"),
        *words,
        f"{user}@127.0.0.1" if user else "127.0.0.1",
        *command,
    ]


@contextmanager
def ssh(
    service: Service,
    *words: str,
    user: str = "",
    command: Sequence[str] = (),
    port: int | None = None,
    merged: bool = False,
) -> Iterator[Client]:
    """OpenSSH, killed at the end. Without *user* it sends the local login name."""
    client = Client(ssh_words(service, *words, user=user, command=command, port=port), merged=merged)
    try:
        yield client
    finally:
        client.kill()


@contextmanager
def dbclient(
    service: Service,
    *words: str,
    user: str = "nobody",
    command: Sequence[str] = (),
    password: str = "",
    merged: bool = False,
) -> Iterator[Client]:
    """dropbear's client, which has no option for a file of known hosts: it takes any host key."""
    client = Client(
        ["dbclient", "-y", "-y", "-T", "-p", str(service.https_port), *words, f"{user}@127.0.0.1", *command],
        merged=merged,
        environment={"DROPBEAR_PASSWORD": password},
    )
    try:
        yield client
    finally:
        client.kill()


def asyncssh_options(service: Service, user: str = "nobody", **more: Any) -> dict[str, Any]:
    """Arguments of `asyncssh.connect`; without *more* the method ``none`` is what it logs in by."""
    return {
        "host": "127.0.0.1",
        "port": service.https_port,
        "username": user,
        "known_hosts": str(service.known_hosts),
        "config": None,
        "client_keys": None,
        "agent_path": None,
        **more,
    }


async def asyncssh_lines(process: asyncssh.SSHClientProcess[str], count: int) -> list[str]:
    """The next *count* lines of a session."""
    return [str(await process.stdout.readline()).rstrip("\n") for _ in range(count)]
