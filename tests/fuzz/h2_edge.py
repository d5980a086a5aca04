"""
The same over HTTP/2: one visitor with several requests at once, in frames that come in any order, to recording local
servers that speak HTTP/1.1.

What reaches a local server is a request that is well formed by the letters of both protocols, and is the visitor's;
each that is gets its answer on its own stream.
"""

from __future__ import annotations

from random import Random

from hpack import Decoder

from tests.edge.visitor.h2_visits import H2Visit
from tests.fuzz.edge import Attempt, LocalServer
from tests.fuzz.h2_requests import HERE, ends_well, meant, request
from tests.fuzz.oracle import OURS, Wrong, besides, check_shares, holds
from tests.support import h2_frames as h2
from tests.support.h2_frames import Flag, Kind
from tests.support.strict_http import End, Field, Message, read_exchange

_DROPPED = OURS | {b"te", b"host", b"content-length"}


class H2Case:
    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._visit = H2Visit()
        self._visit.raw = bytearray()
        self.requests = [request(chance, number) for number in range(chance.choice((1, 1, 2, 3, 5)))]
        streams = {2 * number + 1: each.frames(2 * number + 1, chance) for number, each in enumerate(self.requests)}
        self.frames = self._interleaved(streams)
        self.attempts: list[Attempt] = []
        self.servers: list[LocalServer] = []
        self.heard = b""

    def _interleaved(self, streams: dict[int, list[bytes]]) -> list[bytes]:
        """Heads in the order of their streams, as they must be; what follows in any."""
        found: list[bytes] = []
        begun: list[list[bytes]] = []
        waiting = list(streams.values())
        while waiting or begun:
            if waiting and (not begun or self._chance.random() < 0.5):
                begun.append(waiting.pop(0))
                frames = begun[-1]
            else:
                frames = self._chance.choice(begun)
            found.append(frames.pop(0))
            begun = [each for each in begun if each]
        return found

    def run(self) -> None:
        frames = list(self.frames)
        while True:
            self._look()
            actions = [each.speak for each in self.servers if each.may_speak]
            if frames and not self._visit.transport.disconnecting:
                actions.append(lambda: self._visit.protocol.dataReceived(frames.pop(0)))
            if not actions:
                break
            self._chance.choice(actions)()
            self._visit.clock.advance(0)
        self.heard = self._visit.transport.value()
        self._visit.leave()

    def _look(self) -> None:
        known = {id(each.stream) for each in self.servers}
        for stream in self._visit.client.opened:
            if id(stream) not in known:
                self.servers.append(LocalServer(stream, self.attempts.append, self._chance))
        for server in self.servers:
            server.hear()

    # -- what must hold ----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises `Wrong`."""
        self._wanted = wanted = [meant(each) for each in self.requests]
        cut = h2.goaway(self.heard) is not None
        answers = _answers(self.heard)
        reached: dict[int, list[Attempt]] = {}
        for attempt in self.attempts:
            reached.setdefault(self._whose(attempt), []).append(attempt)
        for number, message in enumerate(wanted):
            status, content = answers.get(2 * number + 1, (b"", b""))
            if message is None:
                holds(cut or status[:1] in (b"4", b"R"), f"what is no request is answered {status!r}")
            elif not cut and ends_well(self.requests[number]):
                self._is_answered(message, reached.get(number, []), status, content)
        check_shares(self.servers)

    def _whose(self, attempt: Attempt) -> int:
        for number, (message, asked) in enumerate(zip(self._wanted, self.requests, strict=True)):
            if message is None or not _is_of(attempt.request, message, whole=ends_well(asked)):
                continue
            if not ends_well(asked):
                said = message.values(b"content-length")
                as_said = said and int(said[0]) == len(attempt.request.content)
                holds(as_said or not attempt.request.is_whole, "half a request has become one")
                holds(attempt.request.is_whole or attempt.server.stream.over, "half a request is left")
            return number
        raise Wrong(f"what nobody asked for reached a local server: {attempt.request}")

    def _is_answered(self, message: Message, attempts: list[Attempt], status: bytes, content: bytes) -> None:
        if message.host.partition(b":")[0].lower() != HERE:
            holds(status == b"404", f"nobody's name, but {status!r}")
            return
        holds(attempts, "a request did not reach its local server")
        told = [_told(each) for each in attempts]
        if any(each.is_whole for each in told):
            all_of_it = [(each.start[0], each.content) for each in told if each.is_whole]
            holds(
                (status, content) in all_of_it or status in (b"502", b"R"), f"{status!r} {content!r}, not {all_of_it}"
            )
        else:
            holds(status in (b"502", b"R", b""), f"the local server broke off, but {status!r}")


def _told(attempt: Attempt) -> Message:
    said = attempt.server.said
    for each in attempt.server.attempts[: attempt.place]:
        said = read_exchange(said, each.request.start[0], ended=attempt.server.ended)[1].rest
    return read_exchange(said, attempt.request.start[0], ended=attempt.server.ended)[1]


def _onward(message: Message) -> list[Field]:
    hidden = _DROPPED | {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
    return [
        each
        for each in message.fields
        if each[0] not in _DROPPED and not (b"_" in each[0] and each[0].replace(b"_", b"-") in hidden)
    ]


def _is_of(got: Message, wanted: Message, *, whole: bool) -> bool:
    """*whole*: *wanted* ends as it should."""
    holds(got.has_head and got.end is not End.REFUSED, f"what reached the local server is not well formed: {got.why}")
    if (got.start, got.host, _heads(got)) != (wanted.start, wanted.host, _onward(wanted)):
        return False
    if got.is_whole and whole:
        return (got.content, got.trailers) == (wanted.content, wanted.trailers)
    return wanted.content.startswith(got.content)


def _heads(got: Message) -> list[Field]:
    return [each for each in besides(got, OURS) if each[0] != b"te"]


def _answers(heard: bytes) -> dict[int, tuple[bytes, bytes]]:
    """By stream: the status and the content that came; ``R`` where the stream was reset before it ended."""
    decoder = Decoder()
    found: dict[int, tuple[bytes, bytes]] = {}
    ended = set()
    for frame in h2.frames(heard):
        status, content = found.get(frame.stream, (b"", b""))
        if frame.kind == Kind.HEADERS:
            holds(frame.flags & Flag.END_HEADERS, "a head in pieces")
            fields = {bytes(name): bytes(value) for name, value in decoder.decode(frame.payload, raw=True)}
            said = fields.get(b":status", b"")
            holds(said or frame.flags & Flag.END_STREAM, "trailers that do not end their stream")
            holds(not said or not status or status[:1] == b"1", "a second head")
            found[frame.stream] = (said or status, content)
        elif frame.kind == Kind.DATA:
            holds(status and status[:1] != b"1" and frame.stream not in ended, "content without a head, or too late")
            found[frame.stream] = (status, content + frame.payload)
        elif frame.kind == Kind.RST_STREAM and frame.stream not in ended:
            found[frame.stream] = (b"R", content)
        if frame.kind in (Kind.HEADERS, Kind.DATA) and frame.flags & Flag.END_STREAM:
            ended.add(frame.stream)
    return found


def run_h2(seed: int) -> None:
    """Raises `Wrong`, with the seed and what was said."""
    case = H2Case(Random(seed))
    try:
        case.run()
        case.check()
    except Exception as wrong:
        told = [f"{each.fields!r}\n  {each.content!r} {each.trailers!r}" for each in case.requests]
        told += [
            f"a local server said {each.said!r}\n  and heard {bytes(each.stream.written)!r}" for each in case.servers
        ]
        told.append(f"heard: {h2.frames(case.heard)!r}")
        raise Wrong("\n".join((f"h2 seed {seed}: {wrong}", *told))) from wrong
