"""
The edge in memory, between some visitors and the recording local servers of two tunnels.

Who acts next is drawn: a visitor's next piece, a local server's next piece, a stream that opens at last, somebody who
leaves, or stops reading and goes on later. Nobody is told anything that a real transport would hold back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from tests.edge.visitor.visits import Visit
from tests.fuzz import responses
from tests.fuzz.mutations import split
from tests.fuzz.neighbour import Neighbour
from tests.fuzz.responses import Then
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.strict_http import Message, read_exchange, read_request
from tests.support.transports import VisitorTransport

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
    All that happened to one visitor. *sent* is what the edge took of his bytes, *fin* that he said he sends no more,
    *left* that he was gone all at once; *closed* and *aborted* what the edge did with his connection. *attempts* are
    his alone. With *races* a request may cross a local server's end on its way.
    *has_other*: some of it went by another edge.
    """

    address: str
    sent: bytes = b""
    fin: bool = False
    races: bool = False
    has_other: bool = False
    left: bool = False
    heard: bytes = b""
    closed: bool = False
    aborted: bool = False
    attempts: list[Attempt] = field(default_factory=list)


class ServedStream(Protocol):
    """What a local server has of a stream: of one in memory, or of a socket."""

    written: bytearray
    over: bool
    paused: bool

    def client_sends(self, data: bytes) -> None: ...
    def client_ends(self) -> None: ...
    def client_closes(self) -> None: ...


class LocalServer:
    """
    Behind one stream. It answers each request when it is whole, a few when their head is there; after a 101 it sends
    back what it hears. *said* is what it sent, *ended* that it sent it to the end, *raw* what it heard after a 101.
    *note* is told of each request as it begins; one that is *gentle* answers whole requests only, and does
    not reset its connection.
    """

    def __init__(
        self, stream: ServedStream, note: Callable[[Attempt], None], chance: Random, *, gentle: bool = False
    ) -> None:
        self.stream = stream
        self.said = b""
        self.raw = b""
        self.ended = False
        self.over = False
        self.switched = False
        self.attempts: list[Attempt] = []
        self._note = note
        self._chance = chance
        self._gentle = gentle
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
            attempt = self._attempt(request)
            if request.is_whole:
                self._read = self._seen - len(request.rest)
                self._current = None
                self._answer(attempt)
            elif not attempt.answered and not self._gentle and self._chance.random() < 0.02:
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

    def _attempt(self, request: Message) -> Attempt:
        if self._current is None:
            self._current = Attempt(self, len(self.attempts), request)
            self.attempts.append(self._current)
            self._note(self._current)
        self._current.request = request
        return self._current

    def _answer(self, attempt: Attempt) -> None:
        if attempt.answered or self.switched:
            return
        attempt.answered = True
        answer = responses.response(attempt.request, self._chance)
        final = read_exchange(answer.data, attempt.request.start[0])[1]
        self.switched = final.is_whole and final.start[0] == b"101" and attempt.request.is_whole
        self._coming += split(answer.data, self._chance)
        if answer.then is not Then.STAYS:
            self._coming.append(Then.ENDS if self._gentle else answer.then)

    def _note_early(self) -> None:
        attempt = self._current
        if attempt is None or not attempt.answered or attempt.request.is_whole or attempt.early:
            return
        said = self.said
        for each in self.attempts[:-1]:
            said = read_exchange(said, each.request.start[0])[1].rest
        attempt.early = read_exchange(said, attempt.request.start[0])[1].has_head


class Side:
    """One visitor: what he has yet to send, and what has become of him."""

    def __init__(self, visit: Visit, record: Record, pieces: Sequence[bytes], chance: Random) -> None:
        self.visit = visit
        self.record = record
        self._pieces = list(pieces)
        self._will_end = chance.random() < 0.5
        self._will_leave = chance.random() < 0.05

    @property
    def transport(self) -> VisitorTransport:
        return self.visit.transport

    @property
    def is_shut(self) -> bool:
        return self.record.left or self.transport.disconnecting or self.transport.aborted

    def actions(self) -> list[Callable[[], None]]:
        if self.is_shut:
            return []
        if self._pieces:
            return [] if self.transport.paused else [self._say]
        if self._will_leave:
            return [self._leave]
        return [self._end] if self._will_end and not self.record.fin else []

    def can_stop_reading(self) -> bool:
        return self.transport.producer is not None and not self.is_shut

    def close(self) -> None:
        self.record.aborted = self.transport.aborted
        self.record.closed = bool(self.transport.half_closed or self.is_shut)
        self.record.heard = self.visit.heard()

    def _say(self) -> None:
        piece = self._pieces.pop(0)
        self.record.sent += piece
        self.visit.say(piece)

    def _end(self) -> None:
        self.record.fin = True
        self.transport.sends_fin()

    def _leave(self) -> None:
        self.record.left = True
        self.transport.resets()


class EdgeInMemory:
    """
    *connections* are what each visitor sends, in pieces. `run` returns when nothing moves any more. One that
    *has_other* edge beside it has the tunnel ``blog`` there.
    """

    def __init__(self, connections: Sequence[Sequence[bytes]], chance: Random, *, has_other: bool = False) -> None:
        self._chance = chance
        self._clients = [FakeClient(slow=chance.random() < 0.2) for _ in range(2)]
        shop, blog = self._clients
        lives = [live_forwarding(shop), live_forwarding(blog, name="blog")]
        self._other = Neighbour(lives.pop()) if has_other else None
        first = Visit(*lives, host="192.0.2.0", elsewhere=self._other)
        self._sides: dict[str, Side] = {}
        for number, pieces in enumerate(connections):
            address = f"192.0.2.{number}"
            visit = first if number == 0 else first.another(address)
            self._sides[address] = Side(visit, Record(address, has_other=has_other), pieces, chance)
        self._visit = first
        self._restless = chance.random() < 0.3
        self.servers: list[LocalServer] = []

    @property
    def records(self) -> list[Record]:
        return [each.record for each in self._sides.values()]

    def run(self) -> None:
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
            if self._other is not None:
                self._other.clock.advance(0)
        else:
            raise AssertionError("it never comes to rest")
        for side in self._sides.values():
            side.close()
        self._visit.leave()
        if self._other is not None:
            self._other.close()

    # -- who may act -------------------------------------------------------------------------------------------------

    def _actions(self) -> list[Callable[[], None]]:
        actions: list[Callable[[], None]] = [each.speak for each in self.servers if each.may_speak]
        for side in self._sides.values():
            actions += side.actions()
        actions += [self._open for client in self._clients if client.asked]
        if self._other is not None:
            actions += self._other.actions()
        return actions

    def _open(self) -> None:
        client = next(each for each in self._clients if each.asked)
        stream = FakeStream()
        client.opened.append(stream)
        client.asked.pop(0).callback(stream)

    def _look(self) -> None:
        known = {id(each.stream) for each in self.servers}
        for client in self._clients:
            new = [each for each in client.opened if id(each) not in known]
            self.servers += [LocalServer(each, self._note, self._chance) for each in new]
        for server in self.servers:
            server.hear()

    def _note(self, attempt: Attempt) -> None:
        """Whose it is, the edge itself says."""
        says = b"".join(attempt.request.values(b"x-forwarded-for")).decode("latin-1")
        assert says in self._sides, f"nobody's request: {attempt.request}"
        self._sides[says].record.attempts.append(attempt)

    # -- who reads and who does not ----------------------------------------------------------------------------------

    def _disturb(self) -> None:
        streams = [each for client in self._clients for each in client.opened if not each.over and each.receiver]
        readers = [each for each in self._sides.values() if each.can_stop_reading()]
        if streams and self._chance.random() < 0.5:
            stream = self._chance.choice(streams)
            self._chance.choice((stream.client_is_full, stream.client_drains))()
        elif readers:
            transport = self._chance.choice(readers).transport
            self._chance.choice((transport.is_full, transport.drains))()

    def _calm(self) -> None:
        """Everybody reads again, from now on."""
        self._restless = False
        for stream in (each for client in self._clients for each in client.opened):
            if not stream.over and stream.receiver:
                stream.client_drains()
        for side in self._sides.values():
            if side.can_stop_reading():
                side.transport.drains()
