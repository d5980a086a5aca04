"""
``pinggy zone``: what stands in the zone, and what should.
"""

from __future__ import annotations

from pinggy.cli import zone_init
from pinggy.cli.arguments import Call, Tree
from pinggy.cli.failure import CommandFailed
from pinggy.cli.tables import Cell
from pinggy.wire import paths
from pinggy.wire.operator import GrantKey, Zone, ZoneReport


def grow(tree: Tree) -> None:
    noun = tree.noun("zone", "the DNS zone that the tunnels' names are in")
    zone_init.grow(noun)
    noun.verb("show", show, "list what should stand in the zone", "", "--json")
    verb = noun.verb("check", check, "ask every server, and list where it differs from what should stand", "", "--mend")
    verb.add_argument("--mend", action="store_true", help="put the differences right")
    noun.verb("key", key, "print the public key that zone gates check grants with", "")


def show(call: Call) -> None:
    answer = call.core.get(paths.ZONE, Zone)
    zone = answer.message
    call.terminal.show_list(
        answer.body,
        ("NAME", "TYPE", "CONTENT", "EPOCH", "OWNER"),
        [(each.name, each.kind, each.content, each.epoch, each.owner) for each in zone.rows],
        f"Nothing of tunnels or edges should stand in the zone {zone.domain}.",
    )


def check(call: Call) -> None:
    """Status 1 where differences remain, or servers could not be asked."""
    core = call.core
    answer = core.ask(paths.ZONE_MEND, ZoneReport) if call.options.mend else core.get(paths.ZONE_CHECK, ZoneReport)
    report = answer.message
    troubles = [each for each in report.servers if each.trouble is not None]
    rows: list[tuple[Cell, ...]] = [(each.url, None, None, None, each.trouble) for each in troubles]
    state = "mended" if report.mended else "differs"
    rows += [(each.url, each.name, each.stands, each.should, state) for each in report.differences]
    if not report.servers:
        raise CommandFailed("The core's settings name no servers of the zone: there is nothing to check.")
    call.terminal.show_list(
        answer.body,
        ("SERVER", "NAME", "STANDS", "SHOULD", "STATE"),
        rows,
        f"All that should stand does, on {_count(len(report.servers), 'server')}.",
    )
    failures = []
    if report.differences and not report.mended:
        mend = "" if call.options.mend else ": 'pinggy zone check --mend' puts it right"
        failures.append(f"the zone differs in {_count(len(report.differences), 'place')}{mend}")
    if troubles:
        failures.append(f"{_count(len(troubles), 'server')} could not be asked")
    if failures:
        raise CommandFailed(_sentence("; ".join(failures)))


def key(call: Call) -> None:
    answer = call.core.get(paths.GRANT_KEY, GrantKey)
    call.terminal.show_done(
        answer.body,
        "This is the public key that the core's grants are signed for: put the line into every zone.toml.",
        f'grant_key = "{answer.message.key}"',
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
