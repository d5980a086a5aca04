"""
The tree of commands: ``pinggy [OPTIONS] NOUN VERB ... [OPTIONS]``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pinggy.cli.calls import Core
from pinggy.cli.terminal import Terminal

EPILOG = """\
examples:
  pinggy account add me
  TOKEN=$(pinggy token add me --comment laptop)
  ssh -p 7443 -R0:localhost:8000 $TOKEN@127.0.0.1
  pinggy tunnel list

Where the service runs, no options are needed. Elsewhere, or with another state folder:
  --core, or PINGGY_CORE            else the file core.url in the state folder
  --key-file, or PINGGY_KEY_FILE    else the file operator.key in the state folder
  --state, or PINGGY_STATE          else ./var

A core behind https with a certificate of your own: set SSL_CERT_FILE.
The exit status is 0, 1 where something was refused or failed, 2 where the command is not understood.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One command being run: *options* are its arguments by name; *find_core* raises `CommandFailed`."""

    find_core: Callable[[], Core]
    terminal: Terminal
    options: Any

    @property
    def core(self) -> Core:
        """The core, looked for when a command first speaks to it: not all do."""
        return self.find_core()


Command = Callable[[Call], None]


class Noun:
    """One noun of the tree: verbs are added to it."""

    def __init__(self, verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str) -> None:
        self._verbs = verbs
        self._name = name

    def verb(
        self, name: str, command: Command, does: str, *examples: str, at_core: bool = True
    ) -> argparse.ArgumentParser:
        """
        Add a verb that runs *command*; *does* is its line of help. The answer takes its arguments. *at_core*: whether
        it asks the core, and so takes the options that say where that is.
        """
        return _add(self._verbs, name, f"{self._name} {name}", command, does, examples, at_core)


class Tree:
    """The whole parser; `noun` grows it."""

    def __init__(self) -> None:
        self.parser = argparse.ArgumentParser(
            prog="pinggy",
            description="The operator's command of a pinggy tunnel service.",
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[_common(at_core=True)],
        )
        self.parser.set_defaults(state=None, core=None, key_file=None, json=False)
        self._nouns = self.parser.add_subparsers(metavar="NOUN", required=True)

    def noun(self, name: str, about: str) -> Noun:
        parser = self._nouns.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        return Noun(parser.add_subparsers(metavar="VERB", required=True), name)

    def alone(self, name: str, command: Command, does: str, *examples: str) -> argparse.ArgumentParser:
        """Add a command without verbs, as `Noun.verb` does."""
        return _add(self._nouns, name, name, command, does, examples, at_core=True)


def _add(
    parsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    words: str,
    command: Command,
    does: str,
    examples: Sequence[str],
    at_core: bool,
) -> argparse.ArgumentParser:
    lines = "".join(f"\n  pinggy {words} {example}".rstrip() for example in examples)
    parser = parsers.add_parser(
        name,
        help=does,
        description=f"{does[0].upper()}{does[1:]}.",
        epilog=f"examples:{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_common(at_core)],
    )
    parser.set_defaults(command=command)
    return parser


def _common(at_core: bool) -> argparse.ArgumentParser:
    """Options that may stand before the noun and after the verb: hence no defaults here."""
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = parser.add_argument_group("options of every command")
    group.add_argument("--json", action="store_true", help="print a message for programs instead of a table")
    if not at_core:
        return parser
    group.add_argument("--core", metavar="URL", help="where the core is")
    group.add_argument("--key-file", metavar="FILE", help="the file with the operator's key")
    group.add_argument("--state", metavar="DIR", help="the state folder of the running service")
    return parser
