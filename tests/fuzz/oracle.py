"""
What must hold of one visitor connection.

Every request that a strict reader reads in the visitor's bytes has reached its local server once and as it was meant,
up to the first that is refused, and nothing else has. Every answer has reached the visitor, well formed, in order and
as the local server meant it, or he sees that it broke off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.fuzz.edge import Attempt, LocalServer, Record
from tests.fuzz.requests import HERE
from tests.support.strict_http import End, Field, Message, read_exchange, read_request, read_requests

_HOP = frozenset(b"connection keep-alive proxy-connection te transfer-encoding upgrade".split())
OURS = frozenset(
    b"forwarded x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-proto "
    b"x-forwarded-scheme x-forwarded-server x-forwarded-ssl x-pinggy-url".split()
)
_KEPT = frozenset((b"host", b"content-length"))
_FRAMES = frozenset((b"connection", b"upgrade", b"transfer-encoding"))
_IDEMPOTENT = frozenset(b"GET HEAD OPTIONS TRACE PUT DELETE".split())
# Well-formed methods beyond those that are registered, or were once, are not served: 501.
_METHODS = frozenset(
    b"ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY OPTIONS "
    b"PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK "
    b"UNSUBSCRIBE".split()
)
_REFUSALS = frozenset((b"400", b"431", b"501", b"505"))
_BROKEN = frozenset((b"502", b"503"))


class Wrong(AssertionError):
    """Something that must hold does not."""


@dataclass(slots=True)
class Exchange:
    """What a local server answered to one attempt, and what the visitor heard of it."""

    interim: list[Message]
    final: Message


def check_shares(servers: Iterable[LocalServer]) -> None:
    """A connection that somebody has authenticated (NTLM, Negotiate) is nobody else's. Raises `Wrong`."""
    for server in servers:
        owner: bytes | None = None
        for attempt in server.attempts:
            whose = attempt.request.values(b"x-forwarded-for")[0]
            holds(owner in (None, whose), f"{whose!r} has a stream that {owner!r} has authenticated")
            schemes = [each[:9].lower() for each in attempt.request.values(b"authorization")]
            if any(each.startswith((b"negotiate", b"ntlm")) for each in schemes):
                owner = whose


class Oracle:
    """Of what happened to one visitor; *here* are the hosts that have tunnels."""

    def __init__(self, record: Record, here: tuple[bytes, bytes] = HERE) -> None:
        self._record = record
        self._here = here
        # Where threads record, one that is repeated may be noted late.
        self._attempts = [each for each in record.attempts if not (record.races and self._is_repeated(each))]
        self._heard = record.heard

    def check(self) -> None:
        """Raises `Wrong`."""
        if self._record.left:
            self._was_asked_for()
            return
        rest = self._record.sent
        while rest:
            request = read_request(rest)
            if request.has_head and request.start[0] not in _METHODS:
                request.end, request.has_head = End.REFUSED, False
            if not self._one(request):
                break
            rest = request.rest
        holds(not self._heard, f"the visitor hears more: {self._heard[:80]!r}")
        left = [bytes(each.server.stream.written[:80]) for each in self._attempts]
        holds(not left, f"what nobody asked for reached a local server: {left}")

    def _was_asked_for(self) -> None:
        """Of one who left in the middle: what reached a local server are his requests, in their order."""
        requests = [each for each in read_requests(self._record.sent) if each.has_head]
        for attempt in self._attempts:
            while requests and not _is_same_request(requests[0], attempt.request, self._record.address):
                requests.pop(0)
            holds(requests, f"what nobody asked for reached a local server: {attempt.request}")

    def _one(self, request: Message) -> bool:
        """Whether another one may follow."""
        if not request.has_head:
            if request.end is End.REFUSED:
                self._is_refused()
            elif self._record.fin:
                holds(self._record.closed, "who sends no more, and nothing whole, is not let go")
            return False
        if request.host.partition(b":")[0].lower().removesuffix(b".") not in self._here:
            return self._is_nobody_s(request)
        attempt = self._reached(request)
        if attempt is None and request.end is End.SHORT and (self._record.races or self._record.has_other):
            return False  # given up on its way
        if attempt is None and self._record.races and request.is_whole:
            return self._is_lost(request)
        if attempt is None:
            holds(request.end is End.REFUSED, "a request did not reach its local server")
            self._is_refused(request.start[0])
            return False
        if not request.is_whole:
            self._breaks_off(request, attempt)
            return False
        return self._is_answered(request, attempt)

    # -- what the edge answers itself --------------------------------------------------------------------------------

    def _is_refused(self, method: bytes = b"GET") -> None:
        answer = self._hears(method).final
        holds(answer.is_whole and answer.start[0] in _REFUSALS, f"not refused, but: {answer.start}")
        holds(b"close" in answer.tokens(b"connection") and self._record.closed, "refused, and not closed")

    def _is_nobody_s(self, request: Message) -> bool:
        answer = self._hears(request.start[0]).final
        holds(answer.is_whole and answer.start[0] == b"404", f"nobody's name, but: {answer.start}")
        stays = request.keeps_alive and not request.has_content
        self._says_whether_it_stays(request, answer, stays)
        return stays

    def _is_lost(self, request: Message) -> bool:
        """It met a local server that was closing its connection, and may not be sent twice."""
        answer = self._hears(request.start[0]).final
        holds(answer.is_whole and answer.start[0] in _BROKEN, f"lost, but: {answer.start}")
        return b"close" not in answer.tokens(b"connection")

    def _says_whether_it_stays(self, request: Message, answer: Message, stays: bool) -> None:
        said = answer.tokens(b"connection")
        holds((b"close" in said) is not stays, f"the connection should {'stay' if stays else 'close'}, but: {said}")
        holds(not stays or request.version == b"1.1" or b"keep-alive" in said, "HTTP/1.0 is not told that it stays")

    # -- what reached a local server ---------------------------------------------------------------------------------

    def _reached(self, request: Message) -> Attempt | None:
        """The last attempt: a request may be sent again where a kept stream turned out to be dead."""
        while self._attempts:
            address = self._record.address
            if self._record.races and not _is_same_request(request, self._attempts[0].request, address):
                return None  # then it must be lost, and the visitor told so
            attempt = self._attempts.pop(0)
            _same_request(request, attempt.request, self._record.address)
            if not self._is_repeated(attempt):
                return attempt
        return None

    def _is_repeated(self, attempt: Attempt) -> bool:
        """Whether a kept stream was over before a byte of the response had come, and the request may be sent twice."""
        request, server = attempt.request, attempt.server
        may_be = request.is_whole and not request.has_content and request.start[0] in _IDEMPOTENT
        return may_be and attempt.place > 0 and (server.over or server.ended) and not self._bytes_of(attempt)

    def _bytes_of(self, attempt: Attempt) -> bytes:
        """What the local server said after its whole answers to earlier requests of this stream."""
        said = attempt.server.said
        for each in attempt.server.attempts[: attempt.place]:
            said = _exchange(said, each.request.start[0], ended=attempt.server.ended)[1]
        return said

    def _answer_of(self, attempt: Attempt) -> Exchange:
        return _exchange(self._bytes_of(attempt), attempt.request.start[0], ended=attempt.server.ended)[0]

    # -- what the visitor hears --------------------------------------------------------------------------------------

    def _hears(self, method: bytes) -> Exchange:
        ended = self._record.closed and not self._record.aborted
        heard, self._heard = _exchange(self._heard, method, ended=ended)
        for each in (*heard.interim, heard.final):
            holds(each.end is not End.REFUSED, f"what the visitor hears is not well formed: {each.why} in {each}")
            holds(not each.has_head or each.version == b"1.1", "the edge speaks HTTP/1.1")
        return heard

    def _breaks_off(self, request: Message, attempt: Attempt) -> None:
        """A request whose content is not well formed, or never comes to its end."""
        refused = request.end is End.REFUSED
        over = attempt.server.stream.over or attempt.server.over
        holds(over or not (refused or self._record.fin), "half a request is left with its local server")
        if not self._heard:
            holds(not refused or self._record.aborted, "refused without a word")
            return
        answered, heard = self._answer_of(attempt), self._hears(request.start[0])
        status = heard.final.start[0]
        if heard.final.is_whole:
            holds(b"close" in heard.final.tokens(b"connection") and self._record.closed, "broken off, and not closed")
        if heard.final.is_whole and not (answered.final.is_whole and status == answered.final.start[0]):
            holds(status in _BROKEN or (refused and status in _REFUSALS), f"broken off with {heard.final.start}")
        else:
            self._passed_on(request, answered, heard, whole=False)
            holds(heard.final.is_whole or self._record.aborted or not refused, "broken off, and the visitor waits")

    def _is_answered(self, request: Message, attempt: Attempt) -> bool:
        answered, heard = self._answer_of(attempt), self._hears(request.start[0])
        if answered.final.start[0] == b"101" and answered.final.is_whole:
            return self._switched(request, attempt, answered, heard)
        if answered.final.is_whole:
            self._passed_on(request, answered, heard, whole=True)
            hidden = answered.final.until_close or (answered.final.chunked and request.version == b"1.0")
            stays = request.keeps_alive and not hidden and not attempt.early
            if attempt.early and self._record.has_other:
                # What has come to one edge may be on its way to the next.
                return b"close" not in heard.final.tokens(b"connection")
            self._says_whether_it_stays(request, heard.final, stays)
            return stays
        if answered.final.end is End.SHORT and not (attempt.server.over or attempt.server.ended):
            holds(attempt.server.stream.over, "a local server has not answered")
        if heard.final.is_whole and heard.final.start[0] in _BROKEN:
            return b"close" not in heard.final.tokens(b"connection")
        holds(self._record.aborted, f"a broken response ends as if it were whole: {heard.final}")
        if heard.final.has_head:
            self._passed_on(request, answered, heard, whole=False)
        return False

    def _switched(self, request: Message, attempt: Attempt, answered: Exchange, heard: Exchange) -> bool:
        asked = attempt.request.values(b"upgrade") and request.is_whole and not attempt.early
        if not asked:
            holds(heard.final.start[0] == b"502", "a protocol changed that nobody asked to change")
            return b"close" not in heard.final.tokens(b"connection")
        holds(heard.final.start[0] == b"101", f"the protocol changed, but the visitor hears {heard.final.start}")
        same(attempt.server.raw, request.rest, "raw bytes to the local server")
        holds(answered.final.rest.startswith(self._heard), "raw bytes to the visitor are others than were sent")
        holds(self._record.aborted or answered.final.rest == self._heard, "raw bytes to the visitor are missing")
        self._heard = b""
        return False

    def _passed_on(self, request: Message, answered: Exchange, heard: Exchange, *, whole: bool) -> None:
        old = request.version == b"1.0"
        interim = [] if old else [(each.start, end_to_end(each)) for each in answered.interim]
        heard_interim = [(each.start, besides(each)) for each in heard.interim]
        same(heard_interim, interim, "interim responses")
        wanted, got = answered.final, heard.final
        same(got.start, wanted.start, "status and reason")
        same(besides(got), end_to_end(wanted), "fields of the response")
        if not whole and not got.is_whole:
            holds(wanted.content.startswith(got.content), "content that the local server did not send")
            return
        holds(got.is_whole, f"the visitor does not hear the whole of it: {got}")
        same(got.content, wanted.content, "content of the response")
        same(got.trailers, () if old else wanted.trailers, "trailers of the response")


def _exchange(data: bytes, method: bytes, *, ended: bool) -> tuple[Exchange, bytes]:
    """What *data* begins with, and what follows it."""
    interim, final = read_exchange(data, method, ended=ended)
    return Exchange(interim, final), final.rest


def _same_request(wanted: Message, got: Message, address: str) -> None:
    holds(got.has_head, f"what reached the local server is not well formed: {got.why}")
    same(got.start, wanted.start, "method and target")
    same(got.version, b"1.1", "version")
    same(got.host, wanted.host, "host")
    same(besides(got, OURS), onward(wanted), "fields")
    holds(got.tokens(b"connection") in ([], [b"upgrade"]), "the hop to the local server is told more than Upgrade")
    same(got.values(b"x-forwarded-for"), [address.encode()], "what is said of the visitor")
    same([each.lower() for each in got.values(b"x-forwarded-host")], [wanted.host.lower()], "what is said of the host")
    protocols = {each.partition(b"/")[0] for each in got.tokens(b"upgrade")}
    holds(not protocols & {b"h2c", b"http", b"tls"}, "an upgrade that hides requests")
    if got.is_whole:
        holds(wanted.is_whole, "a request that is not whole has become one")
        same(got.content, wanted.content, "content")
        same(got.trailers, wanted.trailers, "trailers")
    else:
        holds(got.end is End.SHORT, f"content that is not well formed: {got.why}")
        holds(wanted.content.startswith(got.content), "content that the visitor did not send")


def _is_same_request(wanted: Message, got: Message, address: str) -> bool:
    try:
        _same_request(wanted, got, address)
    except Wrong:
        return False
    return True


def onward(request: Message) -> list[Field]:
    """The fields that the local server shall read, but for Host and what frames the content."""
    named = frozenset(request.tokens(b"connection")) - _KEPT
    dropped = _HOP | OURS | named | ({b"expect"} if request.version == b"1.0" else frozenset())
    return [each for each in request.fields if not _hidden(each[0], dropped | _KEPT)]


def end_to_end(response: Message) -> list[Field]:
    """The fields that the visitor shall read, but for what frames the content."""
    dropped = _HOP | _KEPT | frozenset(response.tokens(b"connection"))
    return [each for each in response.fields if not _hidden(each[0], dropped)]


def _hidden(name: bytes, dropped: frozenset[bytes]) -> bool:
    """Also under a name that CGI and its kin would take for one of *dropped*."""
    return name in dropped or (b"_" in name and name.replace(b"_", b"-") in dropped)


def besides(message: Message, *ours: frozenset[bytes]) -> list[Field]:
    """The fields as they stand, without those that this hop may have."""
    mine = frozenset().union(_KEPT, _FRAMES, *ours)
    return [each for each in message.fields if each[0] not in mine]


def same(got: object, wanted: object, what: str) -> None:
    holds(got == wanted, f"{what}: {got!r}, not {wanted!r}")


def holds(true: object, otherwise: str) -> None:
    if not true:
        raise Wrong(otherwise)
