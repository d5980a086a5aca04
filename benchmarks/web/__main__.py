"""
Runs the comparison: ``python -m benchmarks.web``; see the package's docstring.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.leg.crowd import raise_limits
from benchmarks.leg.servers import Edge, Ours, Server, Sshd, make_keys
from benchmarks.web import goals
from benchmarks.web.parts import PARTS, Run

PROGRAMS = {
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "curl": "curl",
    "nginx": "nginx-light",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
}
SERVERS: dict[str, Callable[[Path], Server]] = {"sshd": Sshd, "edge": Edge, "pinggy": Ours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--out", type=Path, default=Path("var/bench"))
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        sys.exit(f"The comparison needs programs that are not here. On Debian: apt-get install {' '.join(missing)}")
    raise_limits()
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name)
        make_keys(folder)
        servers = {each: SERVERS[each](folder) for each in arguments.servers.split(",")}
        for server in servers.values():
            server.start()
            running.callback(server.stop)
        run = Run(folder, servers, arguments.rounds, arguments.seconds)
        for part in arguments.only.split(","):
            getattr(run, part)()
            # What is measured is written, whatever becomes of the rest.
            run.report.write(arguments.out)
            sys.stderr.write(f"{part} measured\n")
        print(run.report.table())
        print()
        print(goals.table(run.report))


if __name__ == "__main__":
    main()
