"""
Visitors who only shake hands: how many handshakes a TLS server does in a second, whole ones or resumed.

    python -m benchmarks.web.handshakes PORT HOST SECONDS full|resumed      prints how many it did

Not ``openssl s_time``: it sends no SNI, and closes before the tickets of TLS 1.3 have come, so that it never resumes
what it asks to resume. Here a handshake counts when the server's tickets have come, which it sends when it has read our
Finished; a resumed one counts only where the session was taken up again.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks.leg.loads import Failed
from benchmarks.leg.servers import ROOT, cpu_seconds

AT_ONCE = 4
PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaken:
    """*rate* is handshakes a second, *cpu* the server's microseconds of CPU for each."""

    rate: float
    cpu: float


def shaken(pid: int, port: int, host: str, *, resumed: bool, seconds: float) -> Shaken:
    """*pid*: the server's. Raises `Failed`."""
    before = cpu_seconds(pid)
    words = [sys.executable, "-m", __name__, str(port), host, str(seconds), "resumed" if resumed else "full"]
    visitors = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(AT_ONCE)
    ]
    said = [visitor.communicate(timeout=seconds + PATIENCE * 2) for visitor in visitors]
    counts, rates = zip(*(_read(*each) for each in said), strict=True)
    return Shaken(rate=sum(rates), cpu=(cpu_seconds(pid) - before) / sum(counts) * 1e6)


def _read(printed: str, errors: str) -> tuple[int, float]:
    if not printed:
        raise Failed(errors.strip().splitlines()[-1] if errors else "a visitor said nothing")
    count, rate = printed.split()
    return int(count), float(rate)


def _context() -> ssl.SSLContext:
    # Whom we speak to is known; to check it would be work of the visitor's, who has the same cores.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _session(context: ssl.SSLContext, port: int, host: str) -> ssl.SSLSession:
    """One to take up again: it has come when an answer has."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection,
        context.wrap_socket(connection, server_hostname=host) as visitor,
    ):
        visitor.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        visitor.recv(4096)
        session = visitor.session
    if session is None or not session.has_ticket:
        raise SystemExit("The server gave no session to take up again.")
    return session


def _shake(context: ssl.SSLContext, port: int, host: str, session: ssl.SSLSession | None) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        visitor = context.wrap_socket(connection, server_hostname=host, session=session)
        if session is not None and not visitor.session_reused:
            raise SystemExit("The server did not take up the session again.")
        if not select.select([visitor], [], [], PATIENCE)[0]:
            raise SystemExit("The server sent no ticket.")
        # Read as they are: a socket that is closed with unread bytes is reset.
        os.read(visitor.fileno(), 16384)
        visitor.close()


def main(port: int, host: str, seconds: float, kind: str) -> None:
    context = _context()
    session = _session(context, port, host) if kind == "resumed" else None
    began = time.perf_counter()
    done = 0
    while (took := time.perf_counter() - began) < seconds:
        _shake(context, port, host, session)
        done += 1
    sys.stdout.write(f"{done} {done / took}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4])
