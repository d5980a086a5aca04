"""
asyncssh's server: everybody may log in, and forward.

    python -m benchmarks.leg.asyncssh_server FOLDER      prints its port
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh


class Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        return True


async def serve(folder: Path) -> None:
    server = await asyncssh.create_server(
        Server, "127.0.0.1", 0, server_host_keys=[str(folder / "host_key")], backlog=1024
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
