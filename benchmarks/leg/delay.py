"""
A relay that adds time each way, so that windows matter: ``python -m benchmarks.leg.delay TARGET_PORT SECONDS`` prints
its port. It holds as much as comes within that time, and reads no more than a bound beyond.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

MOST = 64 * 1024 * 1024
PIECE = 256 * 1024


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Every piece arrives *delay* seconds after it came, in order."""
    loop = asyncio.get_running_loop()
    under_way: deque[tuple[float, bytes]] = deque()
    size = 0
    changed = asyncio.Event()

    async def write() -> None:
        nonlocal size
        while True:
            while not under_way:
                changed.clear()
                await changed.wait()
            due, piece = under_way.popleft()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not piece:
                writer.write_eof()
                return
            writer.write(piece)
            size -= len(piece)
            await writer.drain()

    writing = asyncio.ensure_future(write())
    try:
        while piece := await reader.read(PIECE):
            under_way.append((loop.time() + delay, piece))
            size += len(piece)
            changed.set()
            while size > MOST:
                await asyncio.sleep(delay / 10)
        under_way.append((loop.time() + delay, b""))
        changed.set()
        await writing
    except OSError:
        writing.cancel()


async def serve(target: int, delay: float) -> None:
    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(carry(reader, back, delay), carry(there, writer, delay))
        writer.close()
        back.close()

    server = await asyncio.start_server(visit, "127.0.0.1", 0, limit=PIECE)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
