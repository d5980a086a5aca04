"""
TLS that is spoken to a local server, as its client: a stream inside a stream.

Nobody's certificate is verified, and what modern clients refuse (old versions, short keys) is taken. This TLS protects
nothing: the bytes are inside ssh up to the owner's own machine, where his ssh speaks to a server of his own choice, and
such a server's certificate is self-signed as a rule. It is spoken only because the local server speaks nothing else.

It is the standard library's (``ssl.MemoryBIO``), as asyncio has it: bytes in, bytes out, without a reactor.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import cache

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pinggy.edge.stream import Cause, Stream, StreamReceiver, StreamRefused
from pinggy.edge.timer import Timer

# Seconds for a handshake.
HANDSHAKE = 10.0
# The plaintext of one record at the most (RFC 8446 5.1); what is written is sealed piece by piece, so that OpenSSL's
# buffers stay small.
RECORD = 16 * 1024


def speak_tls(stream: Stream, server_name: str, protocols: tuple[str, ...], clock: IReactorTime) -> Deferred[Stream]:
    """
    TLS within *stream*, which nobody has attached to yet. *server_name* goes into the SNI; *protocols* are offered by
    ALPN. Fails with `StreamRefused`, *stream* is aborted then, and so it is where this is cancelled.
    """
    tls = TlsStream(stream, server_name, protocols, clock)
    stream.attach(tls)
    tls.begin()
    return tls.ready


@cache
def _context(protocols: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.options |= ssl.OP_NO_RENEGOTIATION
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


class TlsStream(Stream, StreamReceiver):
    """
    A `Stream` over *stream*, whose receiver it is. *ready* fires with it when the handshake is done.

    Nothing is gathered here: what comes is opened and passed on, what is written is sealed and passed on, and both
    sides' flow control is that of *stream*. Ours and theirs end by a ``close_notify`` each. TLS 1.3 has a half-close
    by it (RFC 8446 6.1); in TLS 1.2 the local server may close altogether in answer to ours (RFC 5246 7.2.1), which
    then is the end of its way too. A local server that closes TCP without it has ended its way as well: many do.
    """

    def __init__(self, stream: Stream, server_name: str, protocols: tuple[str, ...], clock: IReactorTime) -> None:
        self.ready: Deferred[Stream] = Deferred(lambda _: self._give_up())
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _context(protocols).wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._bound = Timer(clock, self._too_late)
        self._receiver: StreamReceiver | None = None
        self._early: list[bytes] = []
        self._shaken = False
        self._paused = False
        self._full = False
        self._we_ended = False
        self._they_ended = False
        self._over = False

    @property
    def protocol(self) -> str | None:
        """What the local server has chosen of what ALPN offered."""
        return self._tls.selected_alpn_protocol()

    # -- the handshake -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Say hello; *stream* is attached to this."""
        if not self._over:
            self._bound.start(HANDSHAKE)
            self._shake()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
        except ssl.SSLError as error:
            # There may be an alert to send.
            self._send()
            self._not_ready(f"The local server does not speak TLS as it should ({error.reason or 'no reason'}).")
        else:
            self._shaken = True
            self._bound.stop()
            self._send()
            self._open()
            self.ready.callback(self)

    def _too_late(self) -> None:
        self._not_ready(f"The local server has not finished the TLS handshake within {HANDSHAKE:g} seconds.")

    def _not_ready(self, text: str) -> None:
        if not self._over:
            self._give_up()
            self.ready.errback(StreamRefused(text, Cause.TLS))

    def _give_up(self) -> None:
        """First of all, so that nothing which follows from it is taken for the reason."""
        self._over = True
        self.abort()

    # -- Stream ------------------------------------------------------------------------------------------------------

    def attach(self, receiver: StreamReceiver) -> None:
        self._receiver = receiver
        self._paused = False
        early, self._early = self._early, []
        for data in early:
            receiver.stream_data(data)
        if self._they_ended:
            receiver.stream_ended()
        if self._over:
            self._receiver = None
            receiver.stream_closed()
            return
        if self._full:
            receiver.stream_full()
        if early and not self._paused:
            self._stream.resume()

    def write(self, data: bytes) -> None:
        if self._over or self._we_ended or not data:
            return
        sealed = []
        view = memoryview(data)
        try:
            for at in range(0, len(view), RECORD):
                self._tls.write(view[at : at + RECORD])
                sealed.append(self._outgoing.read())
        except ssl.SSLError:
            self._broken()
            return
        self._stream.write(sealed[0] if len(sealed) == 1 else b"".join(sealed))

    def end(self) -> None:
        if self._over or self._we_ended:
            return
        self._we_ended = True
        # Theirs has not come yet; or it will not, since something else has.
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._send()

    def close(self) -> None:
        self.end()
        self._stream.close()

    def abort(self) -> None:
        self._bound.stop()
        self._we_ended = True
        self._stream.abort()

    def pause(self) -> None:
        self._paused = True
        self._stream.pause()

    def resume(self) -> None:
        self._paused = False
        self._stream.resume()

    # -- StreamReceiver ----------------------------------------------------------------------------------------------

    def stream_data(self, data: bytes) -> None:
        self._incoming.write(data)
        if self._shaken:
            self._open()
        elif not self._over:
            self._shake()

    def stream_ended(self) -> None:
        if self._shaken:
            self._ended()
        else:
            self._not_ready("The local server has closed the connection within the TLS handshake.")

    def stream_closed(self) -> None:
        if self._over:
            return
        if not self._shaken:
            self._not_ready("The local server has closed the connection within the TLS handshake.")
            return
        self._over = True
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.stream_closed()

    def stream_full(self) -> None:
        self._full = True
        if self._receiver is not None:
            self._receiver.stream_full()

    def stream_drained(self) -> None:
        self._full = False
        if self._receiver is not None:
            self._receiver.stream_drained()

    # -- what TLS makes of it ----------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Pass on all that can be read, as one piece."""
        opened: list[bytes] = []
        ended = broken = False
        try:
            while data := self._tls.read(RECORD):
                opened.append(data)
            ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError:
            broken = True
        if opened:
            self._pass_on(opened[0] if len(opened) == 1 else b"".join(opened))
        # New keys are answered, and so is what broke.
        self._send()
        if ended:
            self._ended()
        if broken:
            self._broken()

    def _pass_on(self, data: bytes) -> None:
        if self._receiver is not None:
            self._receiver.stream_data(data)
        elif not self._over:
            # Until somebody attaches, no more is taken than is under way.
            self._early.append(data)
            self._stream.pause()

    def _ended(self) -> None:
        if self._they_ended:
            return
        self._they_ended = True
        if self._receiver is not None:
            self._receiver.stream_ended()

    def _broken(self) -> None:
        """What came is not TLS any more, or says that ours is none."""
        self._stream.abort()
        self.stream_closed()

    def _send(self) -> None:
        data = self._outgoing.read()
        if data:
            self._stream.write(data)
