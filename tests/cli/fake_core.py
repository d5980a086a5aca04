"""
A core of a few lines for the command (or, with `FakeCore.key_of_powerdns`, a server of the zone): it answers what it
has been told to, and keeps what it was asked.

In a thread of its own, because the command waits without a reactor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from pinggy.wire.codec import encode
from pinggy.wire.messages import Done, Refused

KEY = "the-operators-key-0123456789"


class FakeCore(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.answers: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.key_of_powerdns: str | None = None
        self.asked: list[tuple[str, str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, target: str, message: Any, status: int = 200) -> None:
        self.answers[method, target] = (status, message if isinstance(message, bytes) else encode(message))

    def reply(self, method: str, target: str, headers: Message, body: bytes) -> tuple[int, bytes]:
        self.asked.append((method, target, body))
        known = headers.get("Authorization") == f"Bearer {KEY}"
        if not known and (self.key_of_powerdns is None or headers.get("X-API-Key") != self.key_of_powerdns):
            return 401, encode(Refused(code="not-authentic", text="This call needs the operator's key."))
        default = (200, encode(Done())) if method == "DELETE" else (404, b"<p>What?</p>")
        return self.answers.get((method, target), default)


class _Exchange(BaseHTTPRequestHandler):
    server: FakeCore

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, answer = self.server.reply(self.command, self.path, self.headers, body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: stderr is the command's."""


@contextmanager
def running_core() -> Iterator[FakeCore]:
    with FakeCore() as core:
        thread = Thread(target=core.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield core
        finally:
            core.shutdown()
            thread.join()
