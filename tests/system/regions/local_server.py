"""
What a client has behind its tunnel: answers `bodies.Question` over HTTP, TLS or plain TCP, and says whose it is.
"""

from __future__ import annotations

import asyncio
import ssl

from tests.system.regions.bodies import answer_to, parse_question
from tests.system.regions.population import Scheme, Target

# Bytes: of a head, and of what one question may send.
_LONGEST_HEAD = 16 * 1024
_LARGEST_BODY = 1024 * 1024
# Seconds that a connection may be silent.
_IDLE = 300.0


class LocalServer:
    """One forwarding's. *context* is for TLS that the visitor speaks with us, end to end."""

    def __init__(self, target: Target, context: ssl.SSLContext) -> None:
        self._target = target
        self._context = context if target.scheme is Scheme.TLS else None
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        serve = self._serve_http if self._target.scheme is Scheme.HTTP else self._serve_lines
        self._server = await asyncio.start_server(
            serve, "127.0.0.1", 0, ssl=self._context, limit=_LONGEST_HEAD, backlog=200
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep-alive: one exchange after the other, until the visitor goes."""
        try:
            while True:
                head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _IDLE)).decode("latin-1")
                question = parse_question(head.split(" ")[1].lstrip("/"))
                assert question.up <= _LARGEST_BODY
                body = await reader.readexactly(question.up)
                answer = answer_to(question, body, self._target.account, self._target.name)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
                await writer.drain()
        except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError):
            pass  # the visitor has gone, or was cut off
        finally:
            writer.close()

    async def _serve_lines(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A line with the question and its body; the answer, and the end."""
        try:
            line = (await asyncio.wait_for(reader.readline(), _IDLE)).decode("latin-1")
            question = parse_question(line.strip())
            assert question.up <= _LARGEST_BODY
            body = await reader.readexactly(question.up)
            writer.write(answer_to(question, body, self._target.account, self._target.name))
            await writer.drain()
        except (OSError, EOFError, ValueError, TimeoutError):
            pass  # the visitor has gone, or was cut off
        finally:
            writer.close()
