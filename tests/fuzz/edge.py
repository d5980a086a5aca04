"""
The edge in memory, between one visitor and the recording local servers of two tunnels.

Who acts next is drawn: the visitor's next piece, a local server's next piece, a stream that opens at last, somebody who
stops reading and goes on later. Nobody is told anything that a real transport would hold back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.edge.visitor.visits import Visit
from tests.fuzz import responses
from tests.fuzz.mutations import split
from tests.fuzz.responses import Then
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.strict_http import Message, read_exchange, read_request

ADDRESS = "192.0.2.7"
_MOST_TURNS = 50_000


@dataclass(slots=True)
class Attempt:
    """
    One request as a local server has read it (so far). *place*: how many it read from this stream before. *early*: the
    head of its response was sent before the request was whole.
    """

    server: LocalServer
    place: int
    request: Message
    answered: bool = False
    early: bool = False


@dataclass(slots=True)
class Record:
    """
    All that happened. *sent* is what the edge took of the visitor's bytes, *fin* that he said he sends no more,
    *closed* and *aborted* what the edge did with his connection.
    """

    sent: bytes = b""
    fin: bool = False
    heard: bytes = b""
    closed: bool = False
    aborted: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    servers: list[LocalServer] = field(default_factory=list)


class LocalServer:
    """
    Behind one stream. It answers each request when it is whole, a few when their head is there; after a 101 it sends
    back what it hears. *said* is what it sent, *ended* that it sent it to the end, *raw* what it heard after a 101.
    """

    def __init__(self, stream: FakeStream, record: Record, chance: Random) -> None:
        self.stream = stream
        self.said = b""
        self.raw = b""
        self.ended = False
        self.over = False
        self.switched = False
        self.requests = 0
        self._record = record
        self._chance = chance
        self._read = 0
        self._seen = 0
        self._current: Attempt | None = None
        self._coming: list[bytes | Then] = []

    def hear(self) -> None:
        """Read what has come since the last time."""
        while self._seen < len(self.stream.written) or (self._current is None and self._read < self._seen):
            self._seen = len(self.stream.written)
            come = bytes(self.stream.written[self._read :])
            if self.switched:
                self.raw += come
                self._read = self._seen
                self._coming += [b"<" + come + b">"]
                return
            request = read_request(come)
            if not request.has_head:
                assert not request.is_whole
                self._record_nonsense(request)
                return
            attempt = self._attempt(request)
            if request.is_whole:
                self._read = self._seen - len(request.rest)
                self._current = None
                self._answer(attempt)
            elif not attempt.answered and self._chance.random() < 0.02:
                self._answer(attempt)
            if not request.is_whole:
                return

    @property
    def may_speak(self) -> bool:
        return bool(self._coming) and not (self.over or self.ended or self.stream.over or self.stream.paused)

    def speak(self) -> None:
        said = self._coming.pop(0)
        if said is Then.ENDS:
            self.ended = True
            self.stream.client_ends()
        elif said is Then.RESETS:
            self.over = True
            self.stream.client_closes()
        elif isinstance(said, bytes):
            self.said += said
            self._note_early()
            self.stream.client_sends(said)

    def unread(self) -> bytes:
        """What no request has been made of."""
        return bytes(self.stream.written[self._read :])

    def _attempt(self, request: Message) -> Attempt:
        if self._current is None:
            self._current = Attempt(self, self.requests, request)
            self.requests += 1
            self._record.attempts.append(self._current)
        self._current.request = request
        return self._current

    def _record_nonsense(self, request: Message) -> None:
        """Heads are sent whole: what is none yet is nothing that may be here."""
        self._current = Attempt(self, self.requests, request)
        self._record.attempts.append(self._current)
        self.requests += 1

    def _answer(self, attempt: Attempt) -> None:
        if attempt.answered or self.switched:
            return
        attempt.answered = True
        answer = responses.response(attempt.request, self._chance)
        final = read_exchange(answer.data, attempt.request.start[0])[1]
        self.switched = final.is_whole and final.start[0] == b"101" and attempt.request.is_whole
        self._coming += split(answer.data, self._chance)
        if answer.then is not Then.STAYS:
            self._coming.append(answer.then)

    def _note_early(self) -> None:
        attempt = self._current
        if attempt is None or not attempt.answered or attempt.request.is_whole or attempt.early:
            return
        said = self.said
        for each in (each for each in self._record.attempts if each.server is self and each is not attempt):
            said = read_exchange(said, each.request.start[0])[1].rest
        attempt.early = read_exchange(said, attempt.request.start[0])[1].has_head


class EdgeInMemory:
    """One visitor connection, from its first byte until nothing moves any more; then *record* is complete."""

    def __init__(self, pieces: Sequence[bytes], chance: Random) -> None:
        self.record = Record()
        self._chance = chance
        self._clients = [FakeClient(slow=chance.random() < 0.2) for _ in range(2)]
        shop, blog = self._clients
        self._visit = Visit(live_forwarding(shop), live_forwarding(blog, name="blog"), host=ADDRESS)
        self._pieces = list(pieces)
        self._will_end = chance.random() < 0.5
        self._restless = chance.random() < 0.3
        self._known: dict[int, LocalServer] = {}

    def run(self) -> Record:
        for _ in range(_MOST_TURNS):
            self._look()
            actions = self._actions()
            if not actions:
                if not self._restless:
                    break
                self._calm()
            elif self._restless and self._chance.random() < 0.1:
                self._disturb()
            else:
                self._chance.choice(actions)()
            self._visit.clock.advance(0)
        else:
            raise AssertionError("it never comes to rest")
        self._finish()
        return self.record

    # -- who may act -------------------------------------------------------------------------------------------------

    def _actions(self) -> list[Callable[[], None]]:
        actions: list[Callable[[], None]] = [each.speak for each in self.record.servers if each.may_speak]
        if not self._is_shut:
            if self._pieces and not self._visit.transport.paused:
                actions.append(self._say)
            elif not self._pieces and self._will_end and not self.record.fin:
                actions.append(self._say_fin)
        actions += [self._open for client in self._clients if client.asked]
        return actions

    @property
    def _is_shut(self) -> bool:
        return self._visit.transport.disconnecting or self._visit.transport.aborted

    def _say(self) -> None:
        piece = self._pieces.pop(0)
        self.record.sent += piece
        self._visit.say(piece)

    def _say_fin(self) -> None:
        self.record.fin = True
        self._visit.transport.sends_fin()

    def _open(self) -> None:
        client = next(each for each in self._clients if each.asked)
        stream = FakeStream()
        client.opened.append(stream)
        client.asked.pop(0).callback(stream)

    def _look(self) -> None:
        for client in self._clients:
            for stream in client.opened:
                if id(stream) not in self._known:
                    server = self._known[id(stream)] = LocalServer(stream, self.record, self._chance)
                    self.record.servers.append(server)
        for server in self.record.servers:
            server.hear()

    # -- who reads and who does not ----------------------------------------------------------------------------------

    def _disturb(self) -> None:
        streams = [each.stream for each in self.record.servers if not each.stream.over and each.stream.receiver]
        if streams and self._chance.random() < 0.5:
            stream = self._chance.choice(streams)
            self._chance.choice((stream.client_is_full, stream.client_drains))()
        elif self._visit.transport.producer is not None and not self._is_shut:
            self._chance.choice((self._visit.transport.is_full, self._visit.transport.drains))()

    def _calm(self) -> None:
        """Everybody reads again, from now on."""
        self._restless = False
        for each in self.record.servers:
            if not each.stream.over and each.stream.receiver:
                each.stream.client_drains()
        if self._visit.transport.producer is not None and not self._is_shut:
            self._visit.transport.drains()

    def _finish(self) -> None:
        transport = self._visit.transport
        self.record.aborted = transport.aborted
        self.record.closed = bool(transport.half_closed or transport.disconnecting or transport.aborted)
        self.record.heard = self._visit.heard()
        self._visit.leave()
