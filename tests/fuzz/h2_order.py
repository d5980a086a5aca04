"""
Frames of an HTTP/2 visitor in any order, and a local server, a socket, a client and a clock that do what they like in
between: nothing breaks, nothing stays behind, and a stream that waits for whoever asks next has whole requests behind
it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import provider

from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.endings import ClientLeft
from tests.edge.visitor.h2_visits import H2Visit
from tests.fuzz.oracle import Wrong
from tests.support import h2_frames as h2
from tests.support.h2_frames import Kind
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.strict_http import read_requests

_POLICIES = ((), (), ("x:limit:20",), ("w:192.0.2.0/24",), ("w:10.0.0.0/8",))
_HOSTS = (b"shop.a.example",) * 5 + (b"nobody.a.example",)
_MORE = ((b"content-type", b"application/grpc"), (b"expect", b"100-continue"), (b"content-length", b"x"))
_SETTINGS = ((4, 0), (4, 1), (4, 65_535), (4, 2**20), (3, 0), (1, 0), (1, 2**32 - 1), (5, 16_384), (99, 1))
_ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nSum: 2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n" + bytes(70_000),
    b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    bytes(30_000),
)


class OrderCase:
    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._client = FakeClient(slow=chance.random() < 0.3)
        self._visit = H2Visit(live_forwarding(self._client, policy=parse_policy(chance.choice(_POLICIES))))
        self._visit.raw = bytearray()
        self._streams: list[FakeStream] = []
        self._next = 1
        self._is_full = False
        self.done: list[str] = []

    def run(self) -> None:
        acts: tuple[tuple[Callable[[], None], int], ...] = (
            (self._visitor, 55),
            (self._local_server, 30),
            (self._time, 5),
            (self._socket, 6),
            (self._policy, 2),
            (self._end, 1),
        )
        for _ in range(self._chance.randrange(5, 80)):
            act = self._chance.choices([each for each, _ in acts], [weight for _, weight in acts])[0]
            self.done.append(act.__name__)
            act()
            self._visit.transport.clear()
            self._look()
        while self._client.asked:
            self._open()
        self._visit.leave()
        if not all(stream.over for stream in self._all()):
            raise Wrong("A stream has been left open.")

    def _all(self) -> list[FakeStream]:
        return [*self._client.opened, *self._streams]

    def _look(self) -> None:
        for stream in self._all():
            upstream = stream.receiver
            if upstream is None or stream.over or getattr(upstream, "user", None) is not None:
                continue
            if not all(request.is_whole for request in read_requests(bytes(stream.written))):
                raise Wrong(f"A stream waits behind half a request: {bytes(stream.written)!r}")

    # -- who acts

    def _visitor(self) -> None:
        data = b"".join(self._frame() for _ in range(self._chance.randrange(1, 6)))
        cut = self._chance.choice((0, self._chance.randrange(len(data) + 1)))
        for part in (data[:cut], data[cut:]):
            if part:
                self._visit.protocol.dataReceived(part)

    def _frame(self) -> bytes:
        chance = self._chance
        stream = max(1, self._next - chance.choice((0, 2, 2, 2, 2, 4, 4, 6, 8, 20)))
        match chance.randrange(14):
            case 0 | 1 | 2:
                self._next += 2
                return h2.headers(self._next - 2, self._head(), ends=chance.random() < 0.5)
            case 3 | 4:
                return h2.data(stream, bytes(chance.randrange(12)), ends=chance.random() < 0.4)
            case 5:
                return h2.reset(stream)
            case 6 | 7:
                return h2.window(chance.choice((0, stream)), chance.choice((1, 100, 70_000)))
            case 8:
                return h2.settings(*chance.sample(_SETTINGS, 2))
            case 9 | 12:
                return h2.headers(stream, h2.literal(b"sum", b"1"))
            case 10:
                return h2.frame(Kind.PRIORITY, stream, bytes(4) + b"\x01")
            case 11 if chance.random() < 0.1:
                return h2.frame(Kind.GOAWAY, payload=bytes(8))
            case _:
                return h2.frame(Kind.PING, payload=bytes(8))

    def _head(self) -> bytes:
        chance = self._chance
        fields = [
            (b":method", chance.choice((b"GET", b"POST", b"HEAD", b"PUT"))),
            (b":scheme", b"https"),
            (b":authority", chance.choice(_HOSTS)),
            (b":path", b"/"),
        ]
        if chance.random() < 0.3:
            fields.append((b"content-length", chance.choice((b"0", b"5", b"10", b"100"))))
        return h2.block(fields + chance.choices(_MORE, k=chance.choice((0, 0, 0, 0, 1))))

    def _local_server(self) -> None:
        if self._client.asked:
            self._open()
            return
        streams = [each for each in self._all() if each.receiver is not None and not each.over]
        if streams:
            stream = self._chance.choice(streams)
            says = [lambda: stream.client_sends(self._chance.choice(_ANSWERS))] * 6
            acts = (stream.client_ends, stream.client_closes, stream.client_is_full, stream.client_drains)
            self._chance.choice([*says, *acts])()

    def _open(self) -> None:
        self._streams.append(FakeStream())
        self._client.asked.pop().callback(self._streams[-1])

    def _time(self) -> None:
        self._visit.clock.advance(self._chance.choice((0.1, 5, 30, 61, 130)))

    def _socket(self) -> None:
        transport = self._visit.transport
        if transport.producer is not None:
            self._is_full = not self._is_full
            (transport.is_full if self._is_full else transport.drains)()

    def _policy(self) -> None:
        self._visit.shop.tunnel.change_policy(parse_policy(self._chance.choice(_POLICIES)))

    def _end(self) -> None:
        if not self._visit.shop.tunnel.has_ended:
            self._visit.tunnels.remove(self._visit.shop)
            self._visit.shop.tunnel.life.ended(ClientLeft.of())
            self._visit.shop.tunnel.let_finish()


def run_order(seed: int) -> None:
    """Raises `Wrong`."""
    failures: list[LogEvent] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(event)

    case = OrderCase(Random(seed))
    globalLogPublisher.addObserver(observe)
    try:
        case.run()
        if failures:
            raise failures[0]["log_failure"].value
    except Exception as broken:
        raise Wrong(f"order seed {seed}: {broken!r} after {' '.join(case.done)}") from broken
    finally:
        globalLogPublisher.removeObserver(observe)
