"""
A site of the kind that people have behind a tunnel, for real browsers and curl. What it sends slowly, the test hands
out piece by piece.
"""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosedError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.sync.connection import Connection

from tests.support.local_servers import BLOCK, Count
from tests.support.service import PATIENCE

FILE = b"".join(b"line %d\n" % number for number in range(20_000))
PAGE = b"<!doctype html><meta charset=utf-8><title>A site</title><link rel=icon href=data:,><p>Hello from here."


class Handler(BaseHTTPRequestHandler):
    """
    ========== =====================================================================================================
    /          a page
    /asked/..  method, target and headers as JSON, lower-case names; any origin may read it
    /cookies   sets the cookies that the site has been given
    /file      `FILE`, the part of it that Range names, or packed if that is understood
    /trailers  a response in chunks with a trailer
    /echo      a PUT in chunks: each of them is sent back when it has come
    /upload    a POST: size and digest of what came, which is read when the test says so
    /pieces    ``text/plain`` of the pieces that the test hands out, each sent by itself
    /events    the same as ``text/event-stream``
    /socket    a WebSocket that echoes; ``close CODE REASON`` has it close
    ========== =====================================================================================================
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Site

    def do_GET(self) -> None:
        match urlsplit(self.path).path:
            case "/":
                self._say("text/html", PAGE)
            case "/cookies":
                self._say("text/plain", b"", *(("Set-Cookie", cookie) for cookie in self.server.cookies))
            case "/file":
                self._give_file()
            case "/trailers":
                self._head(200, ("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum"))
                self.wfile.write(b"5\r\nwhole\r\n0\r\nX-Sum: 5\r\n\r\n")
            case "/pieces":
                self._hand_out("text/plain")
            case "/events":
                self._hand_out("text/event-stream")
            case "/socket":
                self._echo()
            case _:
                headers = {name.lower(): value for name, value in self.headers.items()}
                said = {"method": self.command, "target": self.path, "headers": headers}
                origin = self.headers.get("Origin", "*")
                allowed = ("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true")
                self._say("application/json", json.dumps(said).encode(), *allowed)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self._head(200, ("Transfer-Encoding", "chunked"))
        while length := int(self.rfile.readline(), 16):
            piece = self.rfile.read(length)
            self.rfile.readline()
            self.server.received.put(piece)
            self.wfile.write(b"%x\r\n%s\r\n" % (length, piece))
        self.rfile.readline()
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self) -> None:
        assert self.server.may_read.wait(PATIENCE)
        count, left = Count(), int(self.headers["Content-Length"])
        while left and (data := self.rfile.read(min(left, BLOCK))):
            count.add(data)
            left -= len(data)
        self._say("application/json", json.dumps({"size": count.size, "digest": count.digest}).encode())

    def _say(self, kind: str, content: bytes, *headers: tuple[str, str]) -> None:
        self._head(200, ("Content-Type", kind), ("Content-Length", str(len(content))), *headers)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _give_file(self) -> None:
        if asked := self.headers.get("Range"):
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
            part = FILE[first : last + 1]
            said = ("Content-Range", f"bytes {first}-{last}/{len(FILE)}"), ("Content-Length", str(len(part)))
            self._head(206, *said)
            self.wfile.write(part)
        elif "gzip" in self.headers.get("Accept-Encoding", ""):
            self._say("text/plain", gzip.compress(FILE), ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
        else:
            self._say("text/plain", FILE)

    def _hand_out(self, kind: str) -> None:
        self.server.asked_for_pieces.put(self.headers.get("Last-Event-ID", ""))
        self._head(200, ("Content-Type", kind), ("Transfer-Encoding", "chunked"))
        while piece := self.server.pieces.get(timeout=PATIENCE):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _echo(self) -> None:
        protocol = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()], max_size=None)
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        protocol.receive_data(f"{self.requestline}\r\n{head}\r\n".encode())
        (request,) = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        for data in protocol.data_to_send():
            self.wfile.write(data)
        self.close_connection = True
        connection = Connection(self.connection, protocol, ping_interval=None)
        with suppress(ConnectionClosedError):
            for message in connection:
                match message.split(" ", 2) if isinstance(message, str) else ():
                    case ["close", code, reason]:
                        connection.close(int(code), reason)
                    case _:
                        connection.send(message)
        self.server.closings.put((connection.close_code, connection.close_reason))

    def _head(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Site(ThreadingHTTPServer):
    """
    *pieces* are what is handed out, an empty one ends a response; *asked_for_pieces* has the Last-Event-ID of each who
    asked for them, *received* each chunk of a PUT, *closings* the codes and reasons by which WebSockets were closed.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self) -> None:
        self.cookies: tuple[str, ...] = ()
        self.pieces: SimpleQueue[bytes] = SimpleQueue()
        self.asked_for_pieces: SimpleQueue[str] = SimpleQueue()
        self.received: SimpleQueue[bytes] = SimpleQueue()
        self.closings: SimpleQueue[tuple[int | None, str | None]] = SimpleQueue()
        self.may_read = threading.Event()
        self.may_read.set()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def server_bind(self) -> None:
        # What it does not read waits with whoever sends it, not in the kernel.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)
        super().server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        """Visitors break off: that is what some tests are about."""


@contextmanager
def site() -> Iterator[Site]:
    with Site() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
