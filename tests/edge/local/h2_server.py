"""
Local servers in memory that speak HTTP/2: the h2 library's server behind each stream that the edge opens.
"""

from __future__ import annotations

from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

from pinggy.tunnel.arguments import parse_policy
from tests.edge.visitor.h2_visits import H2Visit
from tests.support.streams import FakeClient, FakeStream, live_forwarding

GRPC = (("content-type", "application/grpc"), ("te", "trailers"))


class LocalH2:
    """
    The server behind *stream*. It says its settings when it is asked to (`start`), and takes what is sent to it as long
    as it *reads*. *skip* bytes come before HTTP/2.
    """

    def __init__(self, stream: FakeStream, settings: dict[SettingCodes | int, int], skip: int = 0) -> None:
        self.stream = stream
        self.reads = True
        self.raw = b""
        self.skipped = b""
        self._skip = skip
        self.events: list[Event] = []
        config = H2Configuration(
            client_side=False,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = H2Connection(config)
        self.h2.local_settings.update(settings)
        self.h2.local_settings.acknowledge()
        self.h2.initiate_connection()

    def run(self) -> bool:
        """Hear and say all that there is; whether there was anything."""
        heard = bytes(self.stream.written)
        self.stream.written.clear()
        if self._skip:
            self.skipped += heard[: self._skip]
            heard, self._skip = heard[self._skip :], self._skip - len(heard[: self._skip])
        if heard:
            for event in self.h2.receive_data(heard):
                self.events.append(event)
                if isinstance(event, DataReceived) and self.reads and event.flow_controlled_length:
                    assert event.stream_id is not None
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        said = self.h2.data_to_send()
        if said and not self.stream.over:
            self.stream.client_sends(said)
        return bool(heard or said)

    def goaway(self, last: int) -> None:
        """As servers do that stop gently; the library's own would end everything."""
        self.stream.client_sends(self.h2.data_to_send() + GoAwayFrame(0, last_stream_id=last).serialize())

    # -- what was heard

    @property
    def asked(self) -> list[int]:
        """The streams of the requests that came."""
        return [each.stream_id for each in self.events if isinstance(each, RequestReceived) if each.stream_id]

    def fields(self, number: int) -> list[tuple[str, str]]:
        found = [each for each in self._of(number) if isinstance(each, RequestReceived)]
        return [(str(name), str(value)) for name, value in found[0].headers or ()]

    def content(self, number: int) -> bytes:
        return b"".join(each.data or b"" for each in self._of(number) if isinstance(each, DataReceived))

    def trailers(self, number: int) -> list[tuple[str, str]]:
        found = [each for each in self._of(number) if isinstance(each, TrailersReceived)]
        return [(str(name), str(value)) for each in found for name, value in each.headers or ()]

    def has_ended(self, number: int) -> bool:
        return any(isinstance(each, StreamEnded) for each in self._of(number))

    def reset(self, number: int) -> int | None:
        codes = [each.error_code for each in self._of(number) if isinstance(each, StreamReset)]
        return None if not codes or codes[0] is None else int(codes[0])

    @property
    def was_left(self) -> bool:
        return any(isinstance(each, ConnectionTerminated) for each in self.events)

    def _of(self, number: int) -> list[Event]:
        return [each for each in self.events if getattr(each, "stream_id", None) == number]


class H2Servers:
    """The servers behind *client*, one for each stream that was opened; new ones have *settings*."""

    def __init__(self, client: FakeClient, skip: int = 0) -> None:
        self.client = client
        self.settings: dict[SettingCodes | int, int] = {}
        self.all: list[LocalH2] = []
        self._skip = skip

    def __getitem__(self, number: int) -> LocalH2:
        self._meet()
        return self.all[number]

    def __len__(self) -> int:
        self._meet()
        return len(self.all)

    def _meet(self) -> None:
        for stream in self.client.opened[len(self.all) :]:
            self.all.append(LocalH2(stream, self.settings, self._skip))

    def run(self) -> bool:
        self._meet()
        ran = [server.run() for server in self.all]
        return any(ran)


class H2ToH2(H2Visit):
    """A visit over HTTP/2 to a tunnel with x:h2 and these *words*; *servers* are the local server's connections."""

    def __init__(self, *words: str, skip: int = 0, **visit: Any) -> None:
        self.servers: H2Servers | None = None
        live = live_forwarding(FakeClient(), policy=parse_policy(("x:h2", *words)))
        super().__init__(live, **visit)
        self.servers = H2Servers(self.client, skip)
        self.exchange()

    @property
    def server(self) -> LocalH2:
        """The last one."""
        assert self.servers is not None
        return self.servers[-1]

    def exchange(self) -> None:
        while True:
            super().exchange()
            if self.servers is None or not self.servers.run():
                return

    def call(self, *more: tuple[str, str], end: bool = False) -> int:
        """Begin a call of gRPC."""
        return self.ask("POST", "/test.Calls/any", *GRPC, *more, end=end)

    def respond(
        self, number: int = 1, *more: tuple[str, str], server: LocalH2 | None = None, end: bool = False
    ) -> None:
        """The server begins its response in stream *number*."""
        fields = [(":status", "200"), ("content-type", "application/grpc"), *more]
        (server or self.server).h2.send_headers(number, fields, end_stream=end)
        self.exchange()

    def finish(self, number: int = 1, status: int = 0, server: LocalH2 | None = None) -> None:
        """It ends, with trailers."""
        (server or self.server).h2.send_headers(number, [("grpc-status", str(status))], end_stream=True)
        self.exchange()

    def says(self, number: int, data: bytes, server: LocalH2 | None = None) -> None:
        (server or self.server).h2.send_data(number, data)
        self.exchange()

    def answered(self, number: int) -> str:
        """What the edge said itself: the status of HTTP, or of gRPC for a call, and the sentence."""
        fields = self.fields(number)
        if "grpc-status" not in fields:
            return f"{fields[':status']} {self.content(number).decode()}"
        assert (fields[":status"], self.content(number)) == ("200", b"")
        return f"{fields['grpc-status']} {fields['grpc-message']}"
