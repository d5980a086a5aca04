"""
What a newcomer pastes: lines that work as they are.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from pinggy.settings import Secret
from pinggy.tunnel.addresses import PublicFace
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.request import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Paste:
    """
    *host* and *port* are where ssh connects; *token* is of the account that has reserved *name*. *ca* is None where
    visitors trust the certificate anyway.
    """

    host: str
    port: int
    known_hosts: Path
    token: Secret
    name: str
    face: PublicFace
    ca: Path | None
    log: Path | None
    state: Path

    def text(self) -> str:
        http, https = self.face.urls(Forwarding(number=1, kind=Kind.HTTP, name=self.name, epoch=1))
        trust = "" if self.ca is None else f"--cacert {_short(self.ca)} "
        ssh = f"ssh -p {self.port} -o UserKnownHostsFile={_short(self.known_hosts)}"
        return f"""
pinggy is ready. Start a local server, for instance

    python3 -m http.server 8000

and paste:

    {ssh} -R0:localhost:8000 {self.token.reveal()}@{self.host}
    curl {http}/
    curl {trust}{https}/

Without an account, under a random name that it prints:

    {ssh} -R0:localhost:8000 {self.host}

The log is {self._log()}, the state is {_short(self.state)}. Ctrl-C stops everything.
"""

    def _log(self) -> str:
        return "on this terminal" if self.log is None else _short(self.log)


def _short(path: Path) -> str:
    """*path* from the current folder where it lies below it, quoted for a shell."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
