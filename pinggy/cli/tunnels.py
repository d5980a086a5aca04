"""
``pinggy tunnel``: what is connected, what was, and an end to it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from pinggy.cli.arguments import Call, Tree
from pinggy.cli.failure import CommandFailed
from pinggy.cli.tables import Cell, short_size, short_time
from pinggy.wire import paths
from pinggy.wire.operator import TunnelRow, Tunnels

_ID = re.compile(r"[0-9a-f]{6,32}", re.ASCII)
_WHOLE_ID = 32
_SHOWN = 8
_COLUMNS = ("TUNNEL", "ACCOUNT", "EDGE", "CLIENT", "STATE", "STARTED (UTC)", "VISITORS", "TO CLIENT", "FROM CLIENT")


def grow(tree: Tree) -> None:
    noun = tree.noun("tunnel", "what is connected, and an end to it")
    verb = noun.verb("list", show, "list live tunnels, or those that have ended", "", "--account me", "--history")
    verb.add_argument("--account", metavar="ACCOUNT", help="only those of this account")
    verb.add_argument("--history", action="store_true", help="those that have ended, and why")
    verb = noun.verb("close", close, "end a tunnel; its client is told", "3f9a01bc")
    verb.add_argument("tunnel", metavar="ID", type=_ident, help="as listed: its first characters, six at least")


def show(call: Call) -> None:
    history = call.options.history
    answer = call.core.get(paths.TUNNELS, Tunnels, account=call.options.account, history="1" if history else None)
    tunnels = answer.message.tunnels
    shown = _shown_length(tunnels)
    more = ("ENDED (UTC)", "REASON", "FORWARDINGS") if history else ("FORWARDINGS",)
    call.terminal.show_list(
        answer.body,
        (*_COLUMNS, *more),
        [_row(each, shown, history) for each in tunnels],
        "No tunnel has ended yet." if history else "No tunnel is live.",
    )


def close(call: Call) -> None:
    tunnel = call.options.tunnel
    if len(tunnel) < _WHOLE_ID:
        tunnel = _whole(tunnel, call.core.get(paths.TUNNELS, Tunnels).message.tunnels)
    body = call.core.take_away(paths.TUNNELS, tunnel)
    call.terminal.show_done(body, f"Tunnel {tunnel} is closed.")


def _row(tunnel: TunnelRow, shown: int, history: bool) -> tuple[Cell, ...]:
    state = "ended" if tunnel.ended else "live" if tunnel.live else "opening"
    end: tuple[Cell, ...] = (short_time(tunnel.ended), tunnel.reason) if history else ()
    return (
        tunnel.tunnel[:shown],
        tunnel.account,
        tunnel.edge,
        tunnel.address,
        state,
        short_time(tunnel.started),
        tunnel.visitors,
        short_size(tunnel.received),
        short_size(tunnel.sent),
        *end,
        ", ".join(tunnel.forwardings),
    )


def _shown_length(tunnels: Sequence[TunnelRow]) -> int:
    """How many characters tell these tunnels apart."""
    return next(
        length
        for length in range(_SHOWN, _WHOLE_ID + 1)
        if length == _WHOLE_ID or len({each.tunnel[:length] for each in tunnels}) == len(tunnels)
    )


def _whole(prefix: str, tunnels: Sequence[TunnelRow]) -> str:
    found = [each.tunnel for each in tunnels if each.tunnel.startswith(prefix)]
    if not found:
        raise CommandFailed(f"No live tunnel's id begins with {prefix}: see 'pinggy tunnel list'.")
    if len(found) > 1:
        raise CommandFailed(f"{len(found)} tunnels' ids begin with {prefix}: give more of it.")
    return found[0]


def _ident(text: str) -> str:
    if not _ID.fullmatch(text.lower()):
        raise argparse.ArgumentTypeError(f"{text!r} is not the id of a tunnel: 6 to 32 characters of 0-9 and a-f")
    return text.lower()
