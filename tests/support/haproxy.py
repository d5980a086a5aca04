"""
HAProxy in front of a service, as the load balancer of docs/operations.rst.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.public import connect, eventually
from tests.support.service import PATIENCE

_CONFIG = """
global
    maxconn 200
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
"""


@contextmanager
def haproxy(folder: Path, *ways: tuple[int, int, str]) -> Iterator[None]:
    """One that listens at the first port of each of *ways*, and passes to the second by this option of ``server``."""
    listens = [
        f"listen way{number}\n    bind 127.0.0.1:{port}\n    server edge 127.0.0.1:{target} {option}\n"
        for number, (port, target, option) in enumerate(ways)
    ]
    config = folder / "haproxy.cfg"
    config.write_text(_CONFIG + "".join(listens))
    program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert program is not None
    process = subprocess.Popen(
        [program, "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: all(_listens(port) for port, _, _ in ways))
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), connect(f"http://127.0.0.1:{port}"):
        return True
    return False
