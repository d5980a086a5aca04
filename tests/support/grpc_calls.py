"""
gRPC by grpcio, as visitor and as local server. Messages are bytes, so there is nothing to be compiled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import grpc

from tests.support.service import PATIENCE

MOST = 16 * 1024 * 1024
_SIZES = (("grpc.max_receive_message_length", MOST), ("grpc.max_send_message_length", MOST))


@dataclass
class GrpcServer:
    """
    What calls of ``/test.Calls/`` do. *cancelled* has each `wait` that its caller gave up. *stop* takes no more calls,
    and gives those that there are so many seconds.
    """

    port: int = 0
    stop: Callable[[float], threading.Event] = field(init=False)
    waiting: SimpleQueue[None] = field(default_factory=SimpleQueue)
    cancelled: SimpleQueue[None] = field(default_factory=SimpleQueue)

    def echo(self, request: bytes, context: Any) -> bytes:
        said = {key: value for key, value in context.invocation_metadata() if key.startswith("x-")}
        context.send_initial_metadata(tuple(said.items()))
        context.set_trailing_metadata((("outcome-bin", b"\x00\xff"),))
        return request

    def count(self, request: bytes, context: Any) -> Iterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    def join(self, requests: Iterator[bytes], context: Any) -> bytes:
        return b"".join(requests)

    def talk(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        yield from requests

    def fail(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("reason", "nobody has it"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: \u00e4 %")
        raise AssertionError

    def fail_late(self, request: bytes, context: Any) -> Iterator[bytes]:
        yield b"first"
        context.abort(grpc.StatusCode.DATA_LOSS, "the rest is gone")

    def wait(self, request: bytes, context: Any) -> bytes:
        over = threading.Event()
        context.add_callback(over.set)
        self.waiting.put(None)
        over.wait(PATIENCE)
        self.cancelled.put(None)
        return b""

    def handler(self) -> grpc.GenericRpcHandler:
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        methods = {
            "echo": unary(self.echo),
            "count": stream(self.count),
            "join": grpc.stream_unary_rpc_method_handler(self.join),
            "talk": grpc.stream_stream_rpc_method_handler(self.talk),
            "fail": unary(self.fail),
            "fail_late": stream(self.fail_late),
            "wait": unary(self.wait),
        }
        return grpc.method_handlers_generic_handler("test.Calls", methods)


@contextmanager
def grpc_server(credentials: grpc.ServerCredentials | None = None) -> Iterator[GrpcServer]:
    calls = GrpcServer()
    server = grpc.server(ThreadPoolExecutor(40), options=_SIZES)
    calls.stop = server.stop
    server.add_generic_rpc_handlers((calls.handler(),))
    if credentials is None:
        calls.port = server.add_insecure_port("127.0.0.1:0")
    else:
        calls.port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield calls
    finally:
        server.stop(0).wait(PATIENCE)


@contextmanager
def grpc_channel(url: str, ca: Path, address: str = "127.0.0.1") -> Iterator[grpc.Channel]:
    """To *url*, which is found at *address*, by TLS that *ca* vouches for."""
    at = urlsplit(url)
    options = (
        *_SIZES,
        ("grpc.ssl_target_name_override", at.hostname),
        ("grpc.default_authority", at.netloc),
        ("grpc.enable_http_proxy", 0),
    )
    credentials = grpc.ssl_channel_credentials(ca.read_bytes())
    with grpc.secure_channel(f"{address}:{at.port}", credentials, options=options) as channel:
        yield channel
