"""
A local server that speaks HTTP/2 (x:h2), and answers with fields that are none: its nonsense must not become headers,
content or a response of its own for a visitor, who speaks HTTP/1.1; and what he asked reaches it as he meant it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from hpack import Decoder

from pinggy.tunnel.arguments import parse_policy
from tests.edge.visitor.visits import Visit
from tests.fuzz.mutations import split
from tests.fuzz.oracle import OURS, Wrong, end_to_end, holds, onward, same
from tests.fuzz.requests import HERE, request
from tests.support import h2_frames as h2
from tests.support.h2_frames import Flag, Kind
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.strict_http import NOT_IN_TRAILERS, Field, Message, read_exchange, read_request

_STATUSES = (b"200", b"404", b"500", b"204", b"304", b"999")
_FIELDS: tuple[Field, ...] = (
    (b"server", b"odd"),
    (b"set-cookie", b"a=b"),
    (b"set-cookie", b"c=d"),
    (b"x-empty", b""),
    (b"x-latin", b"\xe9"),
    (b"x_under", b"1"),
    (b"trailer", b"x-sum"),
    (b"vary", b"*"),
)
_ODD_FIELDS: tuple[Field, ...] = (
    (b"connection", b"close"),
    (b"transfer-encoding", b"chunked"),
    (b"upgrade", b"websocket"),
    (b"keep-alive", b"timeout=5"),
    (b"proxy-connection", b"close"),
    (b"content-length", b"3"),
    (b"content-length", b"+3"),
    (b"content-length", b"9999999999999999999"),
    (b"content_length", b"3"),
    (b"transfer_encoding", b"chunked"),
    (b"x", b"a\r\nContent-Length: 0"),
    (b"x", b"a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
    (b"x", b"a\nb"),
    (b"x", b"a\rb"),
    (b"x", b"a\0"),
    (b"x\r\n", b"a"),
    (b"x:y", b"a"),
    (b"x y", b"a"),
    (b"X", b"a"),
    (b"", b"a"),
    (b":status", b"200"),
    (b":path", b"/"),
)
_ODD_STATUSES = (b"", b"099", b"20", b"2000", b"101", b"200 OK", b"200\r\nX: y", b"+20", b"abc")
_CONTENTS = (b"", b"hello", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"0\r\n\r\n", b"0123456789" * 500)
_TRAILERS: tuple[tuple[Field, ...], ...] = ((), (), ((b"x-sum", b"1"),), ((b"content-length", b"3"),), ((b"x", b"\n"),))
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+\Z")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
_CONNECTION = frozenset(b"connection keep-alive proxy-connection transfer-encoding upgrade".split())


@dataclass(slots=True)
class Answer:
    """What is answered to one request: *fields* with the status, and what follows."""

    fields: list[Field]
    content: bytes
    trailers: tuple[Field, ...]

    def frames(self, stream: int, chance: Random) -> bytes:
        ends = not self.content and not self.trailers
        data = h2.headers(stream, h2.block(self.fields), ends=ends)
        if self.content:
            data += h2.data(stream, self.content, ends=not self.trailers, padding=chance.choice((None, 5)))
        if self.trailers:
            data += h2.headers(stream, h2.block(self.trailers))
        return data

    @property
    def has_head(self) -> bool:
        status, *rest = self.fields
        return (
            status[0] == b":status"
            and re.fullmatch(rb"[2-9][0-9][0-9]", status[1]) is not None
            and all(_NAME.match(name) and _VALUE.match(value) and name not in _CONNECTION for name, value in rest)
            and len(self.lengths) < 2
            and all(each.isdigit() and int(each) < 2**63 for each in self.lengths)
        )

    @property
    def lengths(self) -> list[bytes]:
        return [value for name, value in self.fields if name == b"content-length"]

    def is_good(self, method: bytes) -> bool:
        return self.has_head and self.ends_well(method)

    def ends_well(self, method: bytes) -> bool:
        if any(not _NAME.match(n) or not _VALUE.match(v) or n in NOT_IN_TRAILERS for n, v in self.trailers):
            return False
        if method == b"HEAD" or self.fields[0][1] in (b"204", b"304"):
            return not self.content
        return all(int(each) == len(self.content) for each in self.lengths)


def answer(method: bytes, chance: Random) -> Answer:
    content, trailers = chance.choice(_CONTENTS), chance.choice(_TRAILERS)
    status = chance.choice(_STATUSES)
    fields = [(b":status", status), *chance.sample(_FIELDS, chance.choice((0, 1, 2, 3)))]
    if method == b"HEAD" or status in (b"204", b"304"):
        content = b""
    elif chance.random() < 0.5:
        fields.append((b"content-length", b"%d" % len(content)))
    if chance.random() < 0.4:
        if chance.random() < 0.8:
            fields.insert(chance.randrange(len(fields) + 1), chance.choice(_ODD_FIELDS))
        else:
            fields[0] = (b":status", chance.choice(_ODD_STATUSES))
    return Answer(fields, content, trailers)


class H2Server:
    """Behind one stream. It answers each request when it is whole; *heard* has fields, content and trailers of each."""

    def __init__(self, stream: FakeStream, chance: Random) -> None:
        self.stream = stream
        self.heard: list[tuple[list[Field], bytes, tuple[Field, ...]]] = []
        self.answers: list[Answer] = []
        self._chance = chance
        self._decoder = Decoder()
        self._read = len(h2.PREFACE)
        self._open: dict[int, tuple[list[Field], bytes, tuple[Field, ...]]] = {}
        stream.client_sends(h2.settings())

    def hear(self) -> None:
        written = bytes(self.stream.written[self._read :])
        for frame in h2.frames(written):
            self._read += 9 + len(frame.payload)
            if frame.kind == Kind.SETTINGS and not frame.flags & Flag.ACK:
                self.stream.client_sends(h2.frame(Kind.SETTINGS, flags=Flag.ACK))
            elif frame.kind == Kind.HEADERS:
                said = tuple((bytes(n), bytes(v)) for n, v in self._decoder.decode(frame.payload, raw=True))
                if frame.stream not in self._open:
                    self._open[frame.stream] = (list(said), b"", ())
                else:
                    self._open[frame.stream] = (*self._open[frame.stream][:2], said)
            elif frame.kind == Kind.DATA:
                fields, content, trailers = self._open[frame.stream]
                self._open[frame.stream] = (fields, content + frame.payload, trailers)
            if frame.kind in (Kind.HEADERS, Kind.DATA) and frame.flags & Flag.END_STREAM:
                self._respond(frame.stream)

    def _respond(self, number: int) -> None:
        heard = self._open[number]
        self.heard.append(heard)
        method = dict(heard[0]).get(b":method", b"")
        self.answers.append(answer(method, self._chance))
        for piece in split(self.answers[-1].frames(number, self._chance), self._chance):
            if not self.stream.over:
                self.stream.client_sends(piece)


class LocalCase:
    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._client = FakeClient()
        policy = parse_policy(("x:h2",))
        self._visit = Visit(live_forwarding(self._client, policy=policy), host="192.0.2.0")
        here = (HERE[0], HERE[0])
        made = (request(chance, here).removeprefix(b"\r\n") for _ in range(chance.choice((1, 2, 4))))
        # Each is told from the others; and no protocol is changed here: that is a 501.
        self.sent = b"".join(
            each.replace(b"\r\n", b"\r\nX-Number: %d\r\n" % number, 1)
            for number, each in enumerate(made)
            if b"websocket" not in each
        )
        self.servers: list[H2Server] = []
        self.heard = b""
        self.aborted = False

    def run(self) -> None:
        for piece in split(self.sent, self._chance):
            if self._visit.transport.disconnecting:
                break
            self._visit.say(piece)
            self._serve()
        self.heard = self._visit.heard()
        self.aborted = self._visit.transport.aborted
        self._visit.leave()

    def _serve(self) -> None:
        for _ in range(20):
            known = {id(each.stream) for each in self.servers}
            self.servers += [H2Server(each, self._chance) for each in self._client.opened if id(each) not in known]
            for server in self.servers:
                server.hear()
            self._visit.clock.advance(0)

    def check(self) -> None:
        """Raises `Wrong`."""
        reached = [each for server in self.servers for each in zip(server.heard, server.answers, strict=True)]
        rest, heard = self.sent, self.heard
        while rest:
            asked = read_request(rest)
            holds(asked.is_whole, "what was made is no request")
            rest = asked.rest
            if asked.host.partition(b":")[0].lower().removesuffix(b".") != HERE[0]:
                given = None
            else:
                holds(reached, "a request did not reach its local server")
                said, given = reached.pop(0)
                _is_as_it_was_asked(asked, said)
                # An error of the connection is no answer: what may be sent twice is.
                while reached and not given.is_good(asked.start[0]) and reached[0][0] == said:
                    said, given = reached.pop(0)
            interim, got = read_exchange(heard, asked.start[0], ended=not self.aborted)
            holds(not interim, "an interim response that nobody sent")
            heard = got.rest
            if not self._is_as_it_was_given(asked, given, got):
                break
            if self.aborted and not heard:
                reached.clear()
                break
        holds(not heard, f"the visitor hears more: {heard!r}")
        holds(not reached, "what nobody asked for reached a local server")

    def _is_as_it_was_given(self, asked: Message, given: Answer | None, got: Message) -> bool:
        """Whether another response may follow."""
        goes_on = got.is_whole and b"close" not in got.tokens(b"connection")
        if given is None:
            holds(got.is_whole and got.start[0] == b"404", f"nobody's name, but {got.start}")
            return goes_on
        if got.is_whole and got.start[0] == b"502":
            holds(not given.is_good(asked.start[0]), "a good response has become a 502")
            return goes_on
        holds(given.has_head, f"what is no response is answered {got.start} {got.fields}")
        holds(got.has_head or self.aborted, "nothing is said")
        if not got.has_head:
            return False
        same(got.start[0], given.fields[0][1], "status")
        same(end_to_end(got), [(n, v.strip(b" \t")) for n, v in end_to_end(_message(given))], "fields")
        if given.ends_well(asked.start[0]) and got.is_whole:
            same(got.content, given.content, "content")
            same(got.trailers, given.trailers if got.chunked else (), "trailers")
        else:
            holds(given.content.startswith(got.content), "content that was not sent")
            holds(not got.is_whole or _is_whole_as_said(asked, given, got), "a broken response looks whole")
        return goes_on


def _is_whole_as_said(asked: Message, given: Answer, got: Message) -> bool:
    """By its length, before its trailers, or what came too much, had come."""
    bodiless = asked.start[0] == b"HEAD" or given.fields[0][1] in (b"204", b"304")
    return bodiless or any(int(each) == len(got.content) for each in given.lengths)


def _message(given: Answer) -> Message:
    return Message(start=(given.fields[0][1], b""), fields=tuple(given.fields[1:]))


def _is_as_it_was_asked(asked: Message, said: tuple[list[Field], bytes, tuple[Field, ...]]) -> None:
    fields, content, trailers = said
    pseudo = dict(fields[:4])
    same(set(pseudo), {b":method", b":scheme", b":authority", b":path"}, "pseudo-header fields")
    same((pseudo[b":method"], pseudo[b":path"]), asked.start, "method and path")
    same(pseudo[b":authority"], asked.host, "authority")
    ours = OURS | {b"content-length", b"te"}
    same([each for each in fields[4:] if each[0] not in ours], onward(asked), "fields")
    same(content, asked.content, "content")
    same(trailers, asked.trailers, "trailers")


def run_local(seed: int) -> None:
    """Raises `Wrong`, with the seed and what was said."""
    case = LocalCase(Random(seed))
    try:
        case.run()
        case.check()
    except Exception as wrong:
        told = [f"sent: {case.sent!r}", f"heard: {case.heard!r} aborted: {case.aborted}"]
        told += [f"local heard {each.heard!r}\n  and said {each.answers!r}" for each in case.servers]
        raise Wrong("\n".join((f"local h2 seed {seed}: {wrong}", *told))) from wrong
